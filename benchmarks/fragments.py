"""Fragments of known drugs, completed: the share of what comes that is unique, drug-like and easy to make.

The measure is that of SAFE-GPT and GenMol (Noutahi et al., 2024; Lee et al., 2025) on the ten drugs that they take:
*quality* is the share of molecules that are different and have a QED of 0.6 or more and an SA score of 4 or less. The
fragments are cut here, where a chemist would cut, and are not those that were published.
"""

import warnings
from collections.abc import Iterable

import numpy as np

from benchmarks.rows import Row
from grammar_rae.chem import scaffold
from grammar_rae.chem.templates import join_template
from grammar_rae.metrics import internal_diversity
from grammar_rae.model import TextModel
from grammar_rae.scores import score

QED, SA = 0.6, 4.0

DRUGS = {
    "baricitinib": "CCS(=O)(=O)N1CC(CC#N)(n2cc(-c3ncnc4[nH]ccc34)cn2)C1",
    "cyclothiazide": "NS(=O)(=O)c1cc2c(cc1Cl)NC(C1CC3C=CC1C3)NS2(=O)=O",
    "eliglustat": "CCCCCCCC(=O)N[C@H](CN1CCCC1)[C@H](O)c1ccc2c(c1)OCCO2",
    "erlotinib": "C#Cc1cccc(Nc2ncnc3cc(OCCOC)c(OCCOC)cc23)c1",
    "futibatinib": "C=CC(=O)N1CC[C@H](n2nc(C#Cc3cc(OC)cc(OC)c3)c3c(N)ncnc32)C1",
    "lesinurad": "O=C(O)CSc1nnc(Br)n1-c1ccc(C2CC2)c2ccccc12",
    "liothyronine": "N[C@@H](Cc1cc(I)c(Oc2ccc(O)c(I)c2)c(I)c1)C(=O)O",
    "lovastatin": "CC[C@H](C)C(=O)O[C@H]1C[C@@H](C)C=C2C=C[C@H](C)[C@H](CC[C@@H]3C[C@@H](O)CC(=O)O3)[C@H]21",
    "maribavir": "CC(C)Nc1nc2cc(Cl)c(Cl)cc2n1[C@H]1O[C@@H](CO)[C@H](O)[C@@H]1O",
    "spirapril": "CCOC(=O)[C@H](CCc1ccccc1)N[C@@H](C)C(=O)N1CC2(C[C@H]1C(=O)O)SCCS2",
}

MOTIFS = {
    "baricitinib": "[*:1]c1ncnc2[nH]ccc12",
    "cyclothiazide": "NS(=O)(=O)c1cc2c(cc1Cl)NC([*:1])NS2(=O)=O",
    "eliglustat": "[*:1]c1ccc2c(c1)OCCO2",
    "erlotinib": "COCCOc1cc2ncnc([*:1])c2cc1OCCOC",
    "futibatinib": "COc1cc(OC)cc(C#C[*:1])c1",
    "lesinurad": "[*:1]c1ccc(C2CC2)c2ccccc12",
    "liothyronine": "[*:1]Oc1ccc(O)c(I)c1",
    "lovastatin": "O=C1CC(O)CC([*:1])O1",
    "maribavir": "CC(C)Nc1nc2cc(Cl)c(Cl)cc2n1[*:1]",
    "spirapril": "OC(=O)C1CC2(CN1[*:1])SCCS2",
}
"""One ring or two of each drug, with the point where the rest of it was."""

ENDS = {
    "baricitinib": "[*:1]c1ncnc2[nH]ccc12.CCS(=O)(=O)N1CC([*:1])C1",
    "eliglustat": "[*:1]c1ccc2c(c1)OCCO2.[*:1]N1CCCC1",
    "erlotinib": "C#Cc1cccc([*:1])c1.[*:1]c1ncnc2cc(OCCOC)c(OCCOC)cc12",
    "futibatinib": "COc1cc(OC)cc([*:1])c1.C=CC(=O)N1CCC(n2nc([*:1])c3c(N)ncnc32)C1",
    "lesinurad": "[*:1]c1ccc(C2CC2)c2ccccc12.OC(=O)CS[*:1]",
    "liothyronine": "[*:1]c1ccc(O)c(I)c1.NC(Cc1cc(I)c([*:1])c(I)c1)C(=O)O",
    "lovastatin": "O=C1CC(O)CC([*:1])O1.CCC(C)C(=O)OC1CC(C)C=C2C=CC(C)C([*:1])C21",
    "spirapril": "[*:1]c1ccccc1.OC(=O)C1CC2(CN1[*:1])SCCS2",
}
"""Both ends of each drug; in cyclothiazide and maribavir nothing lies between two of them."""


def decorations() -> dict[str, str]:
    """The scaffold of each drug, with a point wherever the drug has something more."""
    found = {name: join_template(scaffold(smiles) or "", [smiles]) for name, smiles in DRUGS.items()}
    return {name: template for name, template in found.items() if template is not None}


def run(model: TextModel, *, n: int = 100, pool: int | None = None, seed: int = 0) -> list[Row]:
    """Decorate the scaffolds, extend the motifs and link the ends, n molecules of each drug.

    Parameters
    ----------
    pool
        As for :meth:`TextModel.decorate`: 1 keeps what is drawn, as the published figures do.
    """
    jobs = {"scaffold decoration": decorations(), "motif extension": MOTIFS, "linker design": ENDS}
    return [
        {"job": job, "drugs": len(templates), "n": n, **_complete(model, templates.values(), n, pool, seed)}
        for job, templates in jobs.items()
    ]


def _complete(model: TextModel, templates: Iterable[str], n: int, pool: int | None, seed: int) -> Row:
    found: list[list[float]] = []
    for template in templates:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fewer than n
            frame = model.decorate(template, n, pool=pool, seed=seed)
        texts, report = list(frame["smiles"]), frame.attrs["report"]
        values = score(texts, ["qed", "sa"])
        quality = float(((values["qed"] >= QED) & (values["sa"] <= SA)).mean()) if texts else np.nan
        diversity = internal_diversity(texts)[0] if len(texts) > 1 else np.nan
        found.append([len(texts), report["valid"], report["duplicates"], quality, diversity])
    names = ("kept", "valid", "repeated", "quality", "diversity")
    return dict(zip(names, np.nanmean(found, axis=0).tolist(), strict=True))
