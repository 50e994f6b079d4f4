"""Ways in which strategies make texts: properties that are asked for, templates of scaffolds, a decoder that learns."""

from typing import Any

import pytest
from optimization.chains import Chains, Phenyls
from optimization.digits import Digits, drawn, total

from grammar_rae.chem import measure, read_points, scaffold
from grammar_rae.chem.templates import join_template
from grammar_rae.errors import InputError
from grammar_rae.optimization import Search
from grammar_rae.optimization.adapt import ADAPTED_DRAWS, ADAPTED_NOISE, AdaptStrategy
from grammar_rae.optimization.analogues import WISHES
from grammar_rae.optimization.scaffolds import SCAFFOLDS, ScaffoldsStrategy

OPTIONS: dict[str, Any] = {"seed": 0, "n_initial": 16, "n_pool": 80, "surrogate": "codes"}


# --- properties ------------------------------------------------------------------------------------------------------


class Told(Chains):
    """Chains that can be told the weight, and note what they were asked for."""

    def __init__(self) -> None:
        self.property_ranges_ = {"weight": (30.0, 300.0)}
        self.asked: list[Any] = []

    def sample(
        self, n: int, valid_only: bool = True, seed: int = 0, constraint: Any = None, properties: Any = None
    ) -> Any:
        self.asked.append(properties)
        if properties is None:
            return super().sample(n, seed=seed)
        return drawn(self, ["CCCCCCNNNOOO", "CCCCCCNNOOO"][:n])


def test_properties_are_asked_for_where_scores_are_functions_of_them() -> None:
    aims = {"objectives": {"weight": {"transform": {"kind": "window", "low": 170, "high": 190, "margin": 50}}}}
    model = Told()
    history = Search(model, {**aims, "merge": "geometric"}, **OPTIONS).run(40, batch_size=8).history()
    wanted = [one for one in model.asked if one is not None]
    assert wanted and all(one["weight"] == pytest.approx((165, 195), abs=1) for one in wanted)
    assert WISHES in set(history["origin"])
    blind = Told()
    Search(blind, {"heavy_atoms": "maximize"}, **OPTIONS).run(24, batch_size=8)
    assert not any(blind.asked)


# --- scaffolds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "points"),
    [
        (("Cc1ccccc1", "Cc1ccc(F)cc1"), 2),
        (("Cc1ccccc1", "CCc1ccccc1"), 1),
        (("Oc1ccc2[nH]ccc2c1", "Cc1c[nH]c2ccccc12", "Cn1ccc2ccccc21"), 3),
        (("CC1CCCCC1=O", "CC1CCC(N)CC1=O"), 2),
    ],
)
def test_a_joined_template_grows_where_molecules_do(texts: tuple[str, ...], points: int) -> None:
    core = scaffold(texts[0])
    assert core is not None
    template = join_template(core, texts)
    assert template is not None
    smiles = template.partition(" | ")[0]
    assert len(read_points(smiles).labels) == points
    assert join_template("C1CCCCCC1", texts) is None and join_template(core, (core,)) is None


class Noting(Phenyls):
    """Phenyls that note their constraints."""

    def __init__(self) -> None:
        self.constraints: list[Any] = []

    def decode_batch(self, z: Any, seed: int | None = None, constraint: Any = None, **options: Any) -> Any:
        self.constraints.append(constraint)
        if constraint and constraint.startswith("none; template="):
            raise InputError("there is no such template")
        return super().decode_batch(z, seed)


def test_molecules_of_one_scaffold_are_crossed_under_its_template() -> None:
    model = Noting()
    search = Search(model, {"weight": "maximize"}, strategy="scaffolds", **OPTIONS).run(32, batch_size=8)
    templates = {one for one in model.constraints if one}
    assert templates and all(one.startswith("template=c1ccc([*:1])cc1") for one in templates)
    assert SCAFFOLDS in ScaffoldsStrategy().ways and len(search.history()) == 32


def test_without_a_scaffold_or_a_template_the_other_ways_go_on() -> None:
    for model, constraint in ((Noting(), "none"), (Chains(), None)):
        search = Search(model, {"weight": "maximize"}, strategy="scaffolds", constraint=constraint, **OPTIONS)
        history = search.run(32, batch_size=8).history()
        assert len(history) == 32 and SCAFFOLDS not in set(history["origin"])


# --- a decoder that learns -------------------------------------------------------------------------------------------


class Pupil(Digits):
    """Digits that note what they are taught."""

    def __init__(self) -> None:
        self.lessons: list[Any] = []

    def refined(self, texts: list[str], **options: Any) -> Digits:
        self.lessons.append((texts, options))
        return Digits().refined(texts, **options)


def test_the_best_are_learned_once_for_each_batch() -> None:
    model = Pupil()
    search = Search(model, {"total": "maximize"}, strategy="adapt", n_learned=5, steps=7, **OPTIONS)
    for _ in range(3):
        batch = search.ask(16)
        search.tell(batch[["id"]].assign(total=[total(text) for text in batch["smiles"]]))
    assert len(model.lessons) == 2
    texts, options = model.lessons[0]
    first = search.history().head(16)
    assert {total(text) for text in texts} <= set(first["total"].nlargest(5)) and options["steps"] == 7
    assert set(options["rehearsed"]) <= set(first["smiles"])
    again = Pupil()
    other = Search(again, {"total": "maximize"}, strategy="adapt", n_learned=5, steps=7, **OPTIONS)
    batch = other.ask(16)
    other.tell(batch[["id"]].assign(total=[total(text) for text in batch["smiles"]]))
    assert other.ask(16)["smiles"].tolist() == search.history()["smiles"][16:32].tolist()
    assert {ADAPTED_DRAWS, ADAPTED_NOISE} <= set(AdaptStrategy().ways)


def test_a_model_that_cannot_learn_is_told() -> None:
    search = Search(Chains(), {"weight": "maximize"}, strategy="adapt", **OPTIONS)
    with pytest.raises(InputError, match="cannot be adapted"):
        search.run(24, batch_size=8)


@pytest.mark.parametrize("option", [{"steps": 0}, {"learning_rate": 2.0}, {"n_learned": 0}, {"surrogate": "x"}])
def test_options_are_checked(option: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        AdaptStrategy(**option)
    with pytest.raises(InputError):
        ScaffoldsStrategy(n_templates=0)


def test_matches_are_counted() -> None:
    assert measure("OCC(O)O", [("matches", "[OX2H]"), ("substructure", "[OX2H]")]) == [3, 1]
