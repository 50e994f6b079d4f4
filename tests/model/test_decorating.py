"""Decoration and linking: molecules with the template, and what was written at its points."""

import pytest
from decoding.chemistry.templated import contains, contains_joined
from rdkit import Chem

import grammar_rae
from grammar_rae.chem import canonical, cut_group, heavy_atoms, is_plausible
from grammar_rae.decoding import Point, Template
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.model.decorating import _limit_sizes, _open_ends

AMIDE = "c1cc([*:1])ccc1C(=O)N[*:2]"


@pytest.fixture(scope="module")
def model():
    return grammar_rae.load("molecules")


def joined(core, groups):
    """The molecule of a core and groups, put together by RDKit at points of the same number."""
    return canonical(Chem.MolToSmiles(Chem.molzip(Chem.MolFromSmiles(".".join([core, *groups])))))


def test_decorated_molecules_are_different_and_sorted_and_their_groups_give_them_back(model):
    found = model.decorate(AMIDE, 10, points={1: Point(max_heavy_atoms=5, optional=True)}, seed=0, scores=["qed"])
    assert list(found.columns) == ["smiles", "R1", "R2", "log_prob", "qed"]
    assert len(found) == found["smiles"].nunique() == 10
    assert found["log_prob"].is_monotonic_decreasing
    for smiles, one, two in zip(found["smiles"], found["R1"], found["R2"], strict=True):
        assert contains(smiles, f"{AMIDE} | 1: max-heavy-atoms=5 optional")
        assert joined(AMIDE, [one, two]) == smiles
    assert all(map(is_plausible, found["smiles"]))
    report = found.attrs["report"]
    assert report["valid"] == 1 and report["orders"] > 1 and report["attempts"] >= 10
    assert 0 <= report["duplicates"] < 1
    again = model.decorate(AMIDE, 10, points={1: Point(max_heavy_atoms=5, optional=True)}, seed=0, scores=["qed"])
    assert found.equals(again)


@pytest.mark.parametrize("pieces", ["c1ccccc1[*:1].[*:1]N1CCOCC1", "C1CC1[*:1].C([*:1])C(=O)N[*:2]"])
def test_linkers_have_the_first_piece_at_1_and_the_second_at_2(model, pieces):
    """Whichever of them is written first."""
    found = model.link(pieces, 5, max_heavy_atoms=6, seed=1)
    first, second = pieces.split(".")
    turned = f"{first}.{second.replace('[*:2]', '[*:3]').replace('[*:1]', '[*:2]')}"
    for row in found.to_dict("records"):
        assert contains_joined(row["smiles"], f"{pieces} | 1: max-heavy-atoms=6")
        assert heavy_atoms(row["linker"]) <= 6
        groups = [row["linker"], *([row["R2"].replace("[*:2]", "[*:3]")] if "R2" in row else [])]
        assert joined(turned, groups) == row["smiles"]
    assert len(found) == 5


def test_bridges_close_rings(model):
    template = "C([*:1])CCC(=O)NC[*:1]"
    found = model.decorate(template, 5, rings=True, orders=0, seed=0)
    assert list(found.columns) == ["smiles", "bridge1", "log_prob"]
    for smiles, bridge in zip(found["smiles"], found["bridge1"], strict=True):
        assert contains_joined(smiles, f"{template} | rings")
        assert joined("C([*:1])CCC(=O)NC[*:2]", [bridge]) == smiles


def test_linkers_are_those_that_the_model_holds_likely(model):
    """Without limits too, where a decoder that does not know what is awaited would write until the length ends it."""
    pieces = "c1ccccc1[*:1].[*:1]N1CCOCC1"
    found, all_kept = (model.link(pieces, 10, pool=pool, seed=0) for pool in (None, 1))
    assert found["smiles"].nunique() == 10 and found["log_prob"].is_monotonic_decreasing
    assert max(map(heavy_atoms, found["linker"])) <= 12
    assert found["log_prob"].mean() > all_kept["log_prob"].mean() + 3
    assert found.equals(model.link(pieces, 10, seed=0))


@pytest.mark.parametrize("most", [4, 20])
def test_no_more_texts_are_decoded_than_allowed(model, most):
    with pytest.warns(UserWarning, match="of 30 different"):
        found = model.link("c1ccccc1[*:1].[*:1]N1CCOCC1", 30, max_attempts=most, seed=0)
    assert found.attrs["report"]["attempts"] == most


def test_the_order_that_is_taken_is_the_likeliest(model):
    template = "C(=O)(c1ccc([*:1])cc1)NC"
    chosen, tried = model._likeliest_order(Template(template), 6)
    assert tried > 2 and canonical(chosen.smiles) == canonical(template)
    assert model._likeliest_order(Template(template), 0)[0].smiles == template


def test_few_molecules_are_said_to_be_few(model):
    with pytest.warns(UserWarning, match=r"found \d+ of 40"):
        found = model.decorate("CC[*:1]", 40, points={1: Point(1, "FCl")}, max_attempts=60, seed=0)
    assert {"CCF", "CCCl"} <= set(found["smiles"]) and {"F[*:1]", "Cl[*:1]"} <= set(found["R1"])
    assert found.attrs["report"]["attempts"] == 60
    report = found.attrs["report"]
    assert report["duplicates"] + report["implausible"] == pytest.approx(1 - len(found) / 60)


def test_what_is_implausible_is_left_out_and_counted(model, monkeypatch):
    monkeypatch.setattr("grammar_rae.chem.is_plausible", lambda text: "F" not in text)
    with pytest.warns(UserWarning, match=r"found \d+ of 40"):
        found = model.decorate("CC[*:1]", 40, points={1: Point(1, "FCl")}, max_attempts=60, seed=0)
    report = found.attrs["report"]
    assert "CCCl" in set(found["smiles"]) and not any("F" in text for text in found["smiles"])
    assert 0 < report["implausible"] < 1 and report["valid"] == 1


@pytest.mark.parametrize(
    "text, run, expected",
    [
        ("CCOC1CC1", (1, 3), "C([*:1])O[*:2]"),
        ("CC(F)C", (1, 4), "CC(F)[*:1]"),
        ("C1CCO1", (3, 4), "O([*:1])[*:2]"),
        ("OC1=CC=CC=C1", (1, 7), "c1ccc([*:1])cc1"),
        ("N[C@@](F)(Cl)C", (1, 5), "C[C@](F)(Cl)[*:1]"),
    ],
)
def test_groups_are_cut_out(text, run, expected):
    assert canonical(cut_group(text, *run, 1, 2)) == canonical(expected)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"n": 0}, InputError, "n must be"),
        ({"template": 3}, InputError, "SMILES with points"),
        ({"template": "c1cc"}, InputError, "cannot be used"),
        ({"template": "C([*:1])C[*:1]"}, InputError, "not asked for"),
        ({"template": "C[*:1].N[*:2]"}, InputError, "no number in common"),
        ({"points": {3: Point()}}, InputError, "no such point"),
        ({"orders": -1}, InputError, "orders"),
        ({"scores": ["beauty"]}, UnknownNameError, "beauty"),
        ({"max_attempts": 0}, InputError, "max_attempts"),
        ({"constraint": "template=C[*:1]"}, InputError, "one scaffold or template"),
        ({"template": "[Au]C[*:1]"}, InputError, "never had"),
        ({"template": "N(Br)" * 150 + "[*:1]"}, InputError, "longer than what the model writes"),
    ],
)
def test_arguments_that_cannot_be_used(model, options, error, match):
    with pytest.raises(error, match=match):
        model.decorate(**({"template": AMIDE, "n": 3} | options))


def test_one_piece_is_not_linked(model):
    with pytest.raises(InputError, match="nothing to link"):
        model.link("CC[*:1]", 3)


def test_drafts_limit_what_grows_and_the_last_has_the_templates_own_limits():
    asked = Template("c1cc([*:1])cc([*:2])c1[*:3]", {2: Point(max_heavy_atoms=3), 3: Point(closed=True)})
    drafts = _limit_sizes(asked, _open_ends(asked))
    limits = [dict(draft.points) for draft in drafts]
    most = [tuple(one.get(label, Point()).max_heavy_atoms for label in (1, 2, 3)) for one in limits]
    assert most == [(2, 2, None), (3, 3, None), (4, 3, None), (6, 3, None), (8, 3, None), (None, 3, None)]
    assert all(one[3].closed for one in limits)
    assert _limit_sizes(asked, []) == [asked]


def test_the_likeliest_of_a_pool_are_likelier_for_their_size(model):
    template = "c1cc([*:1])ccc1C(=O)N[*:2]"
    means = []
    for pool in (4, 1):
        found = model.decorate(template, 12, pool=pool, orders=0, seed=0)
        assert len(found) == 12 and all(contains(text, template) for text in found["smiles"])
        means.append((found["log_prob"] / found["smiles"].map(heavy_atoms)).mean())
    assert means[0] > means[1]
