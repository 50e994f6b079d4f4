"""Trainings that begin with a trained model."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import grammar_rae
from grammar_rae import checkpoint
from grammar_rae.chem import canonical
from grammar_rae.chem.orders import reorder
from grammar_rae.datasets import JoinedRows, TokenDataset, encode
from grammar_rae.errors import InputError, TextError, TrainingError
from grammar_rae.model import ImageModel, TextModel
from grammar_rae.model.adapting import FEWEST, find_automatic_start, plan_adapting
from grammar_rae.model.describing import spell
from grammar_rae.recipes import RECIPES
from tests.test_conditions import TOLD

ALKYL = ["C" * n for n in range(1, 7)]
ENDS = ["O", "N", "Cl", "F", "C#N", "C=O"]
OLD = [a + b for a, b in itertools.product(ALKYL, ENDS)]
NEW = [f"{a}C(=O)N{b}" for a, b in itertools.product(ALKYL, ["C", "CC", "CCO", "C1CC1", "CCl", "CBr"])]
QUICK: dict[str, Any] = {"epochs": 1, "precision": "32-true"}


@pytest.fixture(scope="module")
def told() -> TextModel:
    """A model whose decoder is told properties, trained on a few dozen molecules."""
    return TextModel("tiny", overrides={**TOLD, "epochs": 3, "smoothing": 1.0}).fit(OLD)


@pytest.fixture(scope="module")
def plain() -> TextModel:
    """A model whose decoder is told nothing."""
    return TextModel("tiny", overrides=QUICK).fit(OLD)


@pytest.fixture(scope="module")
def adapted(told: TextModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[TextModel, Path]:
    folder = tmp_path_factory.mktemp("adapted") / "run"
    return TextModel(overrides=QUICK).fit(NEW, start=told, folder=folder), folder


def test_the_start_is_kept_and_named(told: TextModel, adapted: tuple[TextModel, Path]) -> None:
    model, folder = adapted
    before = {name: value.clone() for name, value in told.autoencoder_.state_dict().items()}
    assert model.start_ is not None and model.start_["recipe"] == told.recipe_.name
    assert model.codec.extends(told.codec) and not told.codec.extends(replace(model.codec, form="aromatic"))
    for name in ("encoder", "decoder", "latent", "objective", "condition", "head"):
        assert getattr(model.recipe_, name) == getattr(told.recipe_, name)
    assert all(torch.equal(before[name], value) for name, value in told.autoencoder_.state_dict().items())
    assert told.start_ is None
    loaded = TextModel.load(folder)
    assert loaded.start_ == model.start_
    assert loaded.sample(3, seed=0).texts == model.sample(3, seed=0).texts


def test_no_epoch_is_the_start_itself(plain: TextModel) -> None:
    """With a learning rate of (nearly) nothing, what was learned is what the start knew."""
    model = TextModel(overrides={**QUICK, "learning_rate": 1e-12, "average": None}).fit(NEW, start=plain)
    assert model.codec.rules.size == plain.codec.rules.size
    np.testing.assert_allclose(model.encode(NEW), plain.encode(NEW), atol=1e-4)


def test_scales_are_those_of_the_start(told: TextModel, adapted: tuple[TextModel, Path]) -> None:
    mine, starts = (model.autoencoder_.condition for model in (adapted[0], told))
    assert torch.equal(mine.mean, starts.mean) and torch.equal(mine.deviation, starts.deviation)  # type: ignore[arg-type]


def test_new_rows_train_beside_draws_and_other_orders(adapted: tuple[TextModel, Path]) -> None:
    model, folder = adapted
    rehearsal, orders = TokenDataset.open(folder / "rehearsal"), TokenDataset.open(folder / "orders")
    assert len(rehearsal) > 0 and rehearsal.facts is not None and not rehearsal.facts.reordered.any()
    assert orders.facts is not None and orders.facts.reordered.all()
    known = {canonical(text) for text in NEW}
    assert {canonical(text) for text in spell(orders, model.codec)} <= known
    assert len(model.codes_) + len(model.held_out_codes_) == len(NEW), "the density is fitted on the new rows alone"


def test_a_stopped_adapting_goes_on(told: TextModel, tmp_path: Path) -> None:
    whole = TextModel(overrides={"precision": "32-true", "epochs": 3}).fit(NEW, start=told, folder=tmp_path / "a")
    TextModel(overrides={"precision": "32-true", "epochs": 3}).fit(NEW, start=told, folder=tmp_path / "b")
    again = TextModel(overrides={"precision": "32-true", "epochs": 3})
    again.fit(NEW, start=told, folder=tmp_path / "b", resume=True)
    for name, value in whole.autoencoder_.state_dict().items():
        assert torch.equal(value, again.autoencoder_.state_dict()[name]), name


def test_another_start_is_not_resumed(told: TextModel, adapted: tuple[TextModel, Path], plain: TextModel) -> None:
    with pytest.raises((TrainingError, InputError)):
        TextModel(overrides=QUICK).fit(NEW, start=plain, folder=adapted[1], resume=True)


def test_further_macros_keep_what_is_known(plain: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "grammar_rae.model.adapting.plan_adapting",
        lambda rows, noisy=True: replace(plan_adapting(rows, noisy), macros=8, min_count=2, draws=20),
    )
    model = TextModel(overrides=QUICK).fit(NEW, start=plain)
    assert plain.codec.rules.size < model.codec.rules.size <= plain.codec.rules.size + 8
    assert model.codec.extends(plain.codec) and not plain.codec.extends(model.codec)
    tokens = [len(one.codec.encode_batch(NEW).tokens) for one in (plain, model)]
    assert tokens[1] < tokens[0], "the rows are shorter"


def test_the_longest_text_grows_with_the_rows(plain: TextModel) -> None:
    limit = plain.codec.max_length
    rows = [*NEW, *("C" * 40 + end for end in ENDS)]
    model = TextModel(overrides=QUICK).fit(rows, start=plain)
    longest = int(np.diff(model.codec.encode_batch(rows).offsets).max())
    assert model.codec.max_length is not None and limit is not None
    assert model.codec.max_length == max(limit, longest) and not model.codec.encode_batch(rows).rejected


@pytest.mark.parametrize("rows", [20, 200, 2_000, 60_000, 1_000_000])
def test_plans_suit_the_number_of_rows(rows: int) -> None:
    plan, more = plan_adapting(rows), plan_adapting(10 * rows)
    assert plan.choices["epochs"] >= more.choices["epochs"] >= 2
    assert plan.draws / rows >= more.draws / (10 * rows), "the share of rehearsal falls with the rows"
    recipe = RECIPES["molecules"].replace(**plan.choices)
    assert recipe.training["patience"] >= 1


# -- what cannot be used ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [NEW[: FEWEST - 1], ["CCO"] * 100], ids=["few", "all alike"])
def test_too_few_molecules(plain: TextModel, texts: list[str]) -> None:
    with pytest.raises(InputError, match="too few different molecules") as caught:
        TextModel(overrides=QUICK).fit(texts, start=plain)
    assert "analogues" in str(caught.value)


@pytest.mark.parametrize("name", ["latent", "encoder", "form", "codec_options", "regularizer"])
def test_nets_are_the_starts(plain: TextModel, name: str) -> None:
    value = getattr(plain.recipe_, name)
    with pytest.raises(InputError, match=f"{name} cannot be chosen"):
        TextModel("tiny", overrides={name: value}).fit(NEW, start=plain)


def test_starts_that_cannot_be_used(plain: TextModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="with a grammar"):
        characters = TextModel("characters", overrides={"epochs": 1, "codec_options": {}}).fit(OLD)
        TextModel().fit(NEW, start=characters)
    for start, error in ((3, InputError), (TextModel(), TrainingError), (ImageModel("image-rae"), InputError)):
        with pytest.raises(error):
            TextModel().fit(NEW, start=start)
    with pytest.raises(grammar_rae.GrammarRAEError):
        TextModel().fit(NEW, start=str(tmp_path / "nothing"))


def test_rows_of_another_codec(plain: TextModel) -> None:
    other = encode(NEW, TextModel("tiny", overrides={**QUICK, "form": "aromatic"}).fit(NEW).codec)
    with pytest.raises(InputError, match="another codec"):
        TextModel(overrides=QUICK).fit(other, start=plain)


def test_rows_of_the_starts_codec(plain: TextModel) -> None:
    data = encode(NEW, plain.codec)
    assert TextModel(overrides=QUICK).fit(data, start=plain).start_ is not None
    assert data.facts is None, "the data set stays as it was"


# -- the start that nobody chose -------------------------------------------------------------------------------------


def test_the_automatic_start(plain: TextModel, tmp_path: Path) -> None:
    assert find_automatic_start(NEW, "molecules", {}) == "molecules"
    assert find_automatic_start(NEW, "molecules", {"learning_rate": 1e-3}) == "molecules"
    assert find_automatic_start(NEW, "molecules", {"latent": 8}) is None
    assert find_automatic_start(NEW, "tiny", {}) is None
    assert find_automatic_start(encode(NEW, plain.codec), "molecules", {}) is None
    TextModel("tiny", overrides=QUICK).fit(NEW, folder=tmp_path)
    assert find_automatic_start(NEW, "molecules", {}, tmp_path) is None, "a training goes on as it began"
    assert "start" not in checkpoint.read_meta(tmp_path / "state")["identity"]


# -- parts -----------------------------------------------------------------------------------------------------------


def test_joined_rows_are_their_parts(told: TextModel) -> None:
    parts = [encode(texts, told.codec) for texts in (OLD[:7], OLD[7:12], OLD[12:])]
    joined = JoinedRows(parts)
    assert len(joined) == len(OLD) and joined.fingerprint != JoinedRows(parts[:2]).fingerprint
    order = np.random.default_rng(0).permutation(len(OLD))
    rows = joined.batch(order)
    every = encode(OLD, told.codec)
    for row, index in zip(rows.tolist(), order, strict=True):
        assert [token for token in row if token >= 0] == every.tokens(int(index)).tolist()
    with pytest.raises(InputError):
        JoinedRows([])


def test_other_orders_are_the_same_molecule() -> None:
    text = "CC(=O)Nc1ccc(O)cc1"
    found = reorder(text, 20, 0)
    assert len(set(found)) == len(found) > 5 and {canonical(one) for one in found} == {canonical(text)}
    assert all("c" not in one for one in found), "Kekulé form"
    assert found == reorder(text, 20, 0) != reorder(text, 20, 1)
    assert reorder("C", 3, 0) == []
    with pytest.raises(TextError):
        reorder("C(", 1, 0)
