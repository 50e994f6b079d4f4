"""The tasks of two benchmarks of molecular design, as scores: PMO's 23 and GuacaMol's 20 goal-directed ones.

PMO: Gao, Fu, Sun and Coley, "Sample Efficiency Matters" (NeurIPS 2022), whose tasks are those of TDC. GuacaMol: Brown,
Fiscato, Segler and Vaucher, J. Chem. Inf. Model. 59 (2019), second version of the suite. A score here is that of one
molecule; how a suite aggregates many of them is left to whoever runs it.
"""

from collections.abc import Callable, Mapping
from functools import partial

from grammar_rae.scores.base import Score
from grammar_rae.scores.classifiers import Classifier
from grammar_rae.scores.goals import (
    Goal,
    Mean,
    Term,
    arithmetic_mean,
    at_least,
    at_most,
    clip,
    gaussian,
    invert,
    isomer,
)

_ALBUTEROL = "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1"
_AMLODIPINE = r"Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\C(=O)OC"
_ARIPIPRAZOLE = "Clc4cccc(N3CCN(CCCCOc2ccc1c(NC(=O)CC1)c2)CC3)c4Cl"
_CAMPHOR = "CC1(C)C2CCC1(C)C(=O)C2"
_CELECOXIB = "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F"
_FEXOFENADINE = "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4"
_MENTHOL = "CC(C)C1CCC(C)CC1O"
_MESTRANOL = "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1"
_OSIMERTINIB = "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34"
_PERINDOPRIL = "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC"
_RANOLAZINE = "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2"
_SILDENAFIL = "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C"
_SITAGLIPTIN = "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F"
_TADALAFIL = "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C"
_THIOTHIXENE = "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1"
_TROGLITAZONE = "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O"
_ZALEPLON = "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1"

# What the two hops keep or change.
_HOPS_FROM = "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C"
_QUINAZOLINE = "[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12"
_BENZOTHIAZOLE = "[#7]-c1ccc2ncsc2c1"
_SULFONE = "CS([#6])(=O)=O"
_DECORATED = "[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-[#7]-c1ccc2ncsc2c1"
_VALSARTAN_PART = "CN(C=O)Cc1ccc(c2ccccc2)cc1"


def _similar(kind: str, target: str, upper: float = 1.0) -> Term:
    return Term(kind, target, partial(clip, upper=upper))


def _near(measure: str, mean: float, deviation: float, about: str = "") -> Term:
    return Term(measure, about, partial(gaussian, mean=mean, deviation=deviation))


def _low(measure: str, limit: float, deviation: float, about: str = "") -> Term:
    return Term(measure, about, partial(at_most, limit=limit, deviation=deviation))


def _high(measure: str, limit: float, deviation: float) -> Term:
    return Term(measure, "", partial(at_least, limit=limit, deviation=deviation))


def _has(smarts: str) -> Term:
    return Term("substructure", smarts)


def _lacks(smarts: str) -> Term:
    return Term("substructure", smarts, invert)


def _mean(*parts: Term | Mean) -> Mean:
    return Mean(parts)


_Row = tuple[Term | Mean, str]

#: The goals that both suites have: name -> (its tree, description).
_COMMON: dict[str, _Row] = {
    "albuterol_similarity": (_similar("FCFP4", _ALBUTEROL, 0.75), "similarity to albuterol (FCFP4), in full from .75"),
    "mestranol_similarity": (
        _similar("AP", _MESTRANOL, 0.75),
        "similarity to mestranol (atom pairs), in full from .75",
    ),
    "celecoxib_rediscovery": (_similar("ECFP4", _CELECOXIB), "similarity to celecoxib (ECFP4)"),
    "troglitazone_rediscovery": (_similar("ECFP4", _TROGLITAZONE), "similarity to troglitazone (ECFP4)"),
    "thiothixene_rediscovery": (_similar("ECFP4", _THIOTHIXENE), "similarity to thiothixene (ECFP4)"),
    "isomers_c9h10n2o2pf2cl": (isomer("C9H10N2O2PF2Cl"), "nearness to the formula C9H10N2O2PF2Cl"),
    "median1": (
        _mean(_similar("ECFP4", _CAMPHOR), _similar("ECFP4", _MENTHOL)),
        "similarity to both camphor and menthol (ECFP4)",
    ),
    "median2": (
        _mean(_similar("ECFP6", _TADALAFIL), _similar("ECFP6", _SILDENAFIL)),
        "similarity to both tadalafil and sildenafil (ECFP6)",
    ),
    "osimertinib_mpo": (
        _mean(
            _similar("FCFP4", _OSIMERTINIB, 0.8),
            _low("ECFP6", 0.85, 0.1, _OSIMERTINIB),
            _high("tpsa", 100, 10),
            _low("logp", 1, 1),
        ),
        "like osimertinib but not the same, polar, logP of 1 at most",
    ),
    "fexofenadine_mpo": (
        _mean(_similar("AP", _FEXOFENADINE, 0.8), _high("tpsa", 90, 10), _low("logp", 4, 1)),
        "like fexofenadine, polar, logP of 4 at most",
    ),
    "ranolazine_mpo": (
        _mean(
            _similar("AP", _RANOLAZINE, 0.7),
            _high("tpsa", 95, 20),
            _high("logp", 7, 1),
            _near("atoms", 1, 1, "F"),
        ),
        "like ranolazine, polar, logP of 7 at least, one fluorine",
    ),
    "perindopril_mpo": (
        _mean(_similar("ECFP4", _PERINDOPRIL), _near("aromatic_rings", 2, 0.5)),
        "like perindopril, with two aromatic rings",
    ),
    "amlodipine_mpo": (
        _mean(_similar("ECFP4", _AMLODIPINE), _near("rings", 3, 0.5)),
        "like amlodipine, with three rings",
    ),
    "sitagliptin_mpo": (
        _mean(
            _near("ECFP4", 0, 0.1, _SITAGLIPTIN),
            _near("logp", 0, 0.2, _SITAGLIPTIN),
            _near("tpsa", 0, 5, _SITAGLIPTIN),
            isomer("C16H15F6N5O"),
        ),
        "formula, logP and TPSA of sitagliptin, another structure",
    ),
    "zaleplon_mpo": (
        _mean(_similar("ECFP4", _ZALEPLON), isomer("C19H17N3O2")),
        "like zaleplon, of the formula C19H17N3O2",
    ),
    "valsartan_smarts": (
        _mean(
            _has(_VALSARTAN_PART),
            _near("logp", 0, 0.2, _SITAGLIPTIN),
            _near("tpsa", 0, 5, _SITAGLIPTIN),
            _near("bertz", 0, 30, _SITAGLIPTIN),
        ),
        "a part of valsartan with logP, TPSA and complexity of sitagliptin",
    ),
    "deco_hop": (
        Mean(
            (_similar("PHCO", _HOPS_FROM, 0.85), _lacks(_SULFONE), _lacks(_BENZOTHIAZOLE), _has(_QUINAZOLINE)),
            arithmetic_mean,
        ),
        "other decorations on a kept quinazoline (2D pharmacophores)",
    ),
    "scaffold_hop": (
        Mean((_similar("PHCO", _HOPS_FROM, 0.75), _has(_DECORATED), _lacks(_QUINAZOLINE)), arithmetic_mean),
        "kept decorations on another scaffold than quinazoline (2D pharmacophores)",
    ),
}

_PMO: dict[str, _Row] = {
    **_COMMON,
    "isomers_c7h8n2o2": (isomer("C7H8N2O2"), "nearness to the formula C7H8N2O2"),
    "qed": (Term("qed"), "drug-likeness"),
}

_GUACAMOL: dict[str, _Row] = {
    **_COMMON,
    "aripiprazole_similarity": (
        _similar("ECFP4", _ARIPIPRAZOLE, 0.75),
        "similarity to aripiprazole (ECFP4), in full from .75",
    ),
    "isomers_c11h24": (isomer("C11H24"), "nearness to the formula C11H24"),
}

_CLASSIFIERS = {
    "drd2": "probability of activity at the dopamine receptor D2 (support vector machine)",
    "gsk3b": "probability of activity against glycogen synthase kinase 3 beta (random forest)",
    "jnk3": "probability of activity against c-Jun N-terminal kinase 3 (random forest)",
}


def _rows(suite: str, functions: Mapping[str, tuple[Callable[[str], float], str]]) -> dict[str, Score]:
    rows = [
        Score(f"{suite}:{name}", function, True, f"{description}, 0 to 1")
        for name, (function, description) in sorted(functions.items())
    ]
    return {row.name: row for row in rows}


def _goals(rows: Mapping[str, _Row]) -> dict[str, tuple[Callable[[str], float], str]]:
    return {name: (Goal(tree), description) for name, (tree, description) in rows.items()}


#: The scores of each suite by their full names, as in ``"pmo:qed"``, in alphabetical order.
SUITES: dict[str, dict[str, Score]] = {
    "pmo": _rows("pmo", {**_goals(_PMO), **{name: (Classifier(name), text) for name, text in _CLASSIFIERS.items()}}),
    "guacamol": _rows("guacamol", _goals(_GUACAMOL)),
}
