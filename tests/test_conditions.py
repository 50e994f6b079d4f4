"""What a decoder is told, what a head asks of a code, and what is known of a data set's rows."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grammar_rae.autoencoder import Autoencoder
from grammar_rae.chem import properties as chem_properties
from grammar_rae.conditions import CONDITIONS, FARTHEST, PROPERTY_NAMES, NoCondition, Properties
from grammar_rae.datasets import TokenDataset, add_facts, encode
from grammar_rae.errors import DataError, InputError, TextError, UnknownNameError
from grammar_rae.facts import Described, Facts
from grammar_rae.heads import HEADS, LinearHead, NoHead
from grammar_rae.model import TextModel
from grammar_rae.model.contributions import estimate_contributions
from grammar_rae.recipes import RECIPES, TextRecipe, build_text, learn_codec
from grammar_rae.regularizers import NoiseConditioned

NAMES = ("weight", "rings")
TEXTS = ["CCO", "CCN", "CCC", "c1ccccc1", "CC(C)O", "CCCC", "OCCO", "CNC", "CC=O", "C1CC1", "CCCl", "CC#N"] * 4
TOLD: dict[str, Any] = {
    "objective": "layer-norm",
    "objective_options": {},
    "regularizer": "noise-conditioned",
    "regularizer_options": {"nothing": 0.2},
    "condition": "properties",
    "condition_options": {"names": list(NAMES)},
    "head": "linear",
    "head_options": {"bits": 16},
    "precision": "32-true",
    "codec_options": {"grammar": "smiles", "n_macros": 4},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def facts(n: int, seed: int = 0) -> Facts:
    rng = np.random.default_rng(seed)
    values = np.stack([rng.normal(300, 50, n), rng.integers(0, 5, n)], axis=1).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    return Facts.gather(NAMES, values, rng.integers(0, 256, (n, 2), dtype=np.uint8), rng.random(n) < 0.3)


def described(n: int = 50) -> Described:
    return facts(n).batch(torch.zeros(n, 3), np.arange(n))


def condition(n: int = 50, **options: Any) -> Properties:
    row = Properties(NAMES, **options)
    row.adopt(facts(n))
    return row


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TokenDataset:
    folder = tmp_path_factory.mktemp("told") / "data"
    encode(TEXTS, learn_codec(tiny(), TEXTS), folder)
    table = np.array([chem_properties.properties(text, NAMES) for text in TEXTS])
    bits = np.random.default_rng(0).integers(0, 256, (len(TEXTS), 2), dtype=np.uint8)
    add_facts(folder, Facts.gather(NAMES, table, bits, np.arange(len(TEXTS)) % 2))
    return TokenDataset.open(folder)


def tiny(**overrides: Any) -> TextRecipe:
    recipe = RECIPES["tiny"].replace(**(TOLD | {"batch_size": 12} | overrides))
    assert isinstance(recipe, TextRecipe)
    return recipe


# --- facts -----------------------------------------------------------------------------------------------------------


def test_facts_travel_with_an_encoded_data_set(data: TokenDataset) -> None:
    rows = data.subset([5, 3, 40]).described()
    batch = rows.batch(np.array([2, 0]))
    assert torch.equal(batch.x, data.batch([40, 5]))
    expected = [chem_properties.properties(TEXTS[i], NAMES) for i in (40, 5)]
    np.testing.assert_allclose(batch.properties.numpy(), expected, rtol=1e-6)
    assert batch.bits.shape == (2, 16) and set(batch.bits.flatten().tolist()) <= {0.0, 1.0}
    assert batch.reordered.tolist() == [False, True]
    assert data.facts is not None
    known = np.array([chem_properties.properties(text, NAMES) for text in TEXTS], dtype=np.float64)
    np.testing.assert_allclose(data.facts.scales["mean"], known.mean(0), rtol=1e-6)
    np.testing.assert_allclose(data.facts.scales["deviation"], known.std(0), rtol=1e-5)


def test_what_is_known_decides_how_a_set_trains(data: TokenDataset, tmp_path: Path) -> None:
    encode(TEXTS, learn_codec(tiny(), TEXTS), tmp_path / "bare")
    bare = TokenDataset.open(tmp_path / "bare")
    assert bare.facts is None and bare.fingerprint != data.fingerprint
    with pytest.raises(DataError, match="nothing but their tokens"):
        bare.described()


def test_scales_are_those_of_what_is_known() -> None:
    scales = Facts.gather(["a"], np.array([[1.0], [np.nan], [3.0]])).scales
    assert scales["mean"] == [2.0] and scales["deviation"] == [1.0]


def test_a_property_that_is_always_the_same_or_not_known() -> None:
    assert Facts.gather(["a"], np.full((3, 1), 5.0)).scales["deviation"] == [1.0]
    with pytest.raises(InputError, match="known of no row"):
        Facts.gather(["a"], np.full((3, 1), np.nan))


def test_facts_that_do_not_fit(data: TokenDataset) -> None:
    with pytest.raises(InputError, match="one row for each"):
        Facts.gather(NAMES, np.zeros((3, 1)))
    with pytest.raises(InputError, match="one row for each"):
        Facts.gather(NAMES, facts(5).properties, reordered=np.zeros(4))
    assert data.folder is not None
    with pytest.raises(InputError, match="one row for each"):
        add_facts(data.folder, facts(5))


@pytest.mark.parametrize("damage", ["names", "mean", "bits.bin", "reordered.bin"])
def test_damaged_facts(damage: str, tmp_path: Path) -> None:
    encode(TEXTS, learn_codec(tiny(), TEXTS), tmp_path / "data")
    add_facts(tmp_path / "data", facts(len(TEXTS)))
    path = tmp_path / "data" / "meta.json"
    if damage.endswith("bin"):
        (path.parent / damage).write_bytes(b"0")
    else:
        meta = json.loads(path.read_text())
        meta["facts"][damage] = meta["facts"][damage][:1]
        path.write_text(json.dumps(meta))
    with pytest.raises(DataError, match="damaged"):
        TokenDataset.open(path.parent)


# --- conditions ------------------------------------------------------------------------------------------------------


def test_the_names_are_those_that_chemistry_has() -> None:
    assert tuple(chem_properties.PROPERTIES) == PROPERTY_NAMES


def test_properties_of_a_known_molecule() -> None:
    found = dict(zip(PROPERTY_NAMES, chem_properties.properties("C[C@H](N)C(=O)[O-]"), strict=True))
    assert found["weight"] == pytest.approx(88.09, abs=0.01)
    assert (found["stereo_centres"], found["charge"], found["rings"], found["fsp3"]) == pytest.approx((1, -1, 0, 2 / 3))
    with pytest.raises(TextError):
        chem_properties.properties("no molecule")


def test_what_is_told_in_training_is_a_part_of_what_is_known() -> None:
    rows, row = described(4000), condition(4000, none=0.4)
    told = row.mask(rows, generator())
    values, masks, marks = told.split([2, 2, 1], dim=1)
    known = row.standardise(rows)
    there = ~known.isnan()
    assert told.shape == (4000, row.size)
    assert (masks[~there] == 0).all() and (values[masks == 0] == 0).all()
    assert torch.equal(values[masks == 1], known[masks == 1])
    assert torch.equal(marks.squeeze(1).bool(), rows.reordered)
    full = there.all(1)
    # Nothing, one and both of two: E(1 - u)^2 = 1/3 and so on, where not one alone is told.
    shares = [(masks[full].sum(1) == n).float().mean().item() for n in range(3)]
    some, several = 0.6, 0.6 * (1 - row.alone)
    assert shares == pytest.approx([0.4 + several / 3, some - several * 2 / 3, several / 3], abs=0.03)
    half = there.sum(1) == 1
    assert abs((masks[half].sum(1) == 1).float().mean().item() - (some - several / 2)) < 0.05


def test_validation_tells_the_order_of_atoms_alone() -> None:
    rows, row = described(), condition()
    told = row.tell_order(rows)
    assert told[:, :4].eq(0).all() and torch.equal(told[:, 4].bool(), rows.reordered)


@settings(max_examples=30)
@given(value=st.floats(-1000, 1000), reordered=st.booleans())
def test_what_somebody_asks_for(value: float, reordered: bool) -> None:
    row = condition()
    told = row.tell(3, {"rings": value, "weight": torch.tensor([300.0, math.nan, 310.0])}, reordered)
    standard = (value - row.mean[1].item()) / row.deviation[1].item()
    assert told[:, 1].tolist() == pytest.approx([min(max(standard, -FARTHEST), FARTHEST)] * 3, rel=1e-4, abs=1e-4)
    assert told[:, 2].tolist() == [1, 0, 1] and told[1, 0] == 0
    assert told[:, 3:].tolist() == [[1, float(reordered)]] * 3
    assert row.tell(2).eq(0).all()


def test_what_cannot_be_told() -> None:
    with pytest.raises(UnknownNameError, match="colour"):
        condition().tell(1, {"colour": 1.0})
    for asked in ({"values": {"logp": 1.0}}, {"reordered": True}):
        with pytest.raises(InputError, match="told nothing but the code"):
            NoCondition().tell(1, **asked)
    with pytest.raises(InputError, match="other properties"):
        Properties(["rings", "weight"]).adopt(facts(9))


@pytest.mark.parametrize("options", [{"names": []}, {"names": ["a", "a"]}, {"none": 1.5}, {"none": True}])
def test_conditions_that_cannot_be_used(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Properties(**options)


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_condition_tells_as_many_numbers_as_it_says(name: str) -> None:
    row, rows = CONDITIONS[name](**({} if name == "none" else {"names": NAMES})), described(7)
    assert row.mask(rows, generator()).shape == row.tell_order(rows).shape == row.tell(7).shape == (7, row.size)
    assert row.standardise(rows).shape == (7, len(row.names))


# --- heads -----------------------------------------------------------------------------------------------------------


def test_the_cost_of_a_linear_head_by_hand() -> None:
    head = LinearHead(2, 2, weight=3.0, bits=4, bits_weight=0.5)
    z, known = torch.tensor([[1.0, -1.0]]), torch.tensor([[0.5, math.nan]])
    bits = torch.tensor([[1.0, 0, 0, 1]])
    error = head.properties(z)[0, 0] - 0.5
    assert head.bits is not None
    share = torch.sigmoid(head.bits(z))
    entropy = -(bits * share.log() + (1 - bits) * (1 - share).log()).sum()
    torch.testing.assert_close(head(z, known, bits), (3 * 0.5 * error**2 + 0.5 * entropy).reshape(1))


def test_what_is_not_known_costs_nothing_and_teaches_nothing() -> None:
    head = LinearHead(2, 2)
    cost = head(torch.randn(5, 2), torch.full((5, 2), math.nan), torch.zeros(5, 0))
    assert cost.eq(0).all()
    cost.sum().backward()
    assert head.properties.weight.grad is not None and head.properties.weight.grad.eq(0).all()


def test_no_head_asks_nothing() -> None:
    assert NoHead()(torch.randn(5, 2), torch.zeros(5, 3), torch.zeros(5, 0)).eq(0).all() and not NoHead.asks


@pytest.mark.parametrize(
    "options", [{"weight": -1}, {"weight": math.inf}, {"bits": -1}, {"bits": 1.5}, {"bits_weight": True}]
)
def test_heads_that_cannot_be_used(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="cannot be used"):
        LinearHead(2, 2, **options)
    with pytest.raises(InputError, match="needs properties"):
        LinearHead(2, 0)


# --- all of it -------------------------------------------------------------------------------------------------------


def autoencoder(data: TokenDataset, **overrides: Any) -> Autoencoder:
    recipe = tiny(**overrides)
    found = build_text(recipe, learn_codec(recipe, TEXTS)).autoencoder
    found.condition.adopt(data.described().facts)
    return found


def test_rows_without_a_code_need_no_encoder(data: TokenDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = autoencoder(data).train(), data.described().batch(np.arange(40))
    read: list[int] = []
    forward = model.encoder.forward
    monkeypatch.setattr(model.encoder, "forward", lambda x: (read.append(len(x)), forward(x))[1])
    seen: list[torch.Tensor] = []
    decode = model.decoder.forward
    monkeypatch.setattr(model.decoder, "forward", lambda z, x: (seen.append(z), decode(z, x))[1])
    losses = model(rows, generator())
    blank = seen[0][:, 8 + 9] == 1
    assert read == [40 - int(blank.sum())] and 0 < read[0] < 40
    assert seen[0][blank, : 8 + 9].eq(0).all()
    assert torch.isfinite(losses.total)


def test_a_batch_that_noise_leaves_no_code_of_keeps_one() -> None:
    blank = NoiseConditioned(nothing=0.999).blank(5, generator())
    assert blank is not None and blank.tolist() == [False, True, True, True, True]
    assert NoiseConditioned().blank(5) is None


def test_without_code_the_decoder_sees_none(data: TokenDataset) -> None:
    model = autoencoder(data)
    given = model.without_code(3, 8)
    assert given.shape == (3, 8 + 10 + 5) and given.sum(1).tolist() == [1, 1, 1]
    with pytest.raises(InputError, match="no rows without a code"):
        autoencoder(data, regularizer_options={}).without_code(3, 8)


def test_every_part_learns(data: TokenDataset) -> None:
    model, rows = autoencoder(data).train(), data.described().batch(np.arange(48))
    model(rows, generator()).total.backward()
    for label, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, label


def test_a_model_that_is_told_trains_saves_and_loads(data: TokenDataset, tmp_path: Path) -> None:
    model = TextModel(tiny(epochs=2)).fit(data, validation=data.subset(np.arange(12)))
    model.save(tmp_path / "model")
    model.save(tmp_path / "small", compact=True)
    z = model.encode(TEXTS[:3])
    for name, exact in (("model", True), ("small", False)):
        other = TextModel.load(tmp_path / name)
        condition = other.autoencoder_.condition
        assert isinstance(condition, Properties) and condition.names == NAMES
        tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-3, "atol": 1e-3}
        torch.testing.assert_close(condition.mean, model.autoencoder_.condition.mean, **tolerance)
        assert len(other.decode(z)) == 3
        assert not exact or other.decode(z) == model.decode(z)
    given = [model.autoencoder_.smooth(torch.zeros(1, 8), told=told) for told in (None, condition.tell(1))]
    assert torch.equal(*given)


def test_facts_are_computed_where_they_are_needed(data: TokenDataset) -> None:
    model = TextModel(tiny(epochs=1)).fit(TEXTS)
    weights = [float(one) for one in (model.autoencoder_.condition.lowest[0], model.autoencoder_.condition.highest[0])]
    assert weights == pytest.approx([42.08, 78.5], abs=1.5)
    with pytest.raises(DataError, match="nothing but their tokens"):
        encode(TEXTS, model.codec).described()
    with pytest.raises(InputError, match="needs properties"):
        TextModel(tiny(epochs=1, condition="none", condition_options={})).fit(data)
    with pytest.raises(InputError, match="another codec"):
        bare = learn_codec(tiny(codec_options={"grammar": "smiles", "n_macros": 0}), TEXTS)
        TextModel(tiny(epochs=1)).fit(data, validation=encode(TEXTS, bare))


@pytest.mark.parametrize("name", HEADS)
def test_every_head_has_a_cost_for_every_row(name: str) -> None:
    head = HEADS[name](*((4, 2) if HEADS[name].asks else ()))
    cost = head(torch.randn(6, 4), torch.randn(6, 2), torch.zeros(6, 0))
    assert cost.shape == (6,) and cost.dtype == torch.float32 and (cost >= 0).all()


# --- what tokens contribute to properties ----------------------------------------------------------------------------


def test_told_values_are_blurred_in_training_and_never_when_asked_for() -> None:
    exact, blurred = condition(5_000, none=0.0), condition(5_000, none=0.0, jitter=0.1)
    rows = described(5_000)
    sharp, soft = exact.mask(rows, generator()), blurred.mask(rows, generator())
    assert torch.equal(sharp[:, 2:], soft[:, 2:])  # what is told is the same
    told = sharp[:, 2:4] > 0
    away = (soft - sharp)[:, :2]
    assert away[told].std() == pytest.approx(0.1, rel=0.05)
    assert (away[~told] == 0).all()
    assert torch.equal(exact.tell(3, {"rings": 2.0}), blurred.tell(3, {"rings": 2.0}))


@pytest.mark.parametrize("jitter", [-0.1, 2, "a", True])
def test_blur_is_a_deviation(jitter: Any) -> None:
    with pytest.raises(InputError, match="jitter"):
        Properties(NAMES, jitter=jitter)


@pytest.mark.parametrize("macros", [0, 4])
def test_contributions_are_found_where_a_property_is_a_sum_of_them(tmp_path: Path, macros: int) -> None:
    recipe = build_toy(macros)
    codec = learn_codec(recipe, TEXTS)
    data = encode(TEXTS, codec, tmp_path)
    rng = np.random.default_rng(0)
    each = rng.normal(size=codec.rules.size)
    sums = np.array([each[data.tokens(i)].sum() + 3 for i in range(len(data))])
    values = np.stack([sums, np.full(len(data), np.nan)], axis=1).astype(np.float32)
    values[::5, 0] = np.nan
    values[:2, 1] = [1.0, 2.0]
    rows = data.with_facts(Facts.gather(NAMES, values)).described()
    told = Properties(NAMES)
    told.adopt(rows.facts)
    found = estimate_contributions(rows, codec, told)
    assert found.shape == (codec.rules.size + 1, 2)
    fitted = np.array([float(found[data.tokens(i), 0].sum() + found[-1, 0]) for i in range(len(data))])
    expected = (sums - float(told.mean[0])) / float(told.deviation[0])
    # Ridge pulls the sums of few rows a little towards their mean.
    assert np.corrcoef(fitted, expected)[0, 1] > 0.98
    assert np.abs(fitted - expected).mean() < 0.15


def build_toy(macros: int) -> TextRecipe:
    options = {**TOLD, "codec_options": {"grammar": "smiles", "n_macros": macros}}
    return RECIPES["tiny"].replace(**options, decoder_options={"hidden": 16, "remaining": True})  # type: ignore[return-value]


def test_a_model_is_trained_with_the_contributions_of_its_rows_and_keeps_them(tmp_path: Path) -> None:
    names = list(chem_properties.PROPERTIES)[:2]
    recipe = build_toy(4).replace(condition_options={"names": names, "jitter": 0.05}, epochs=1)
    model = TextModel(recipe, seed=0).fit(TEXTS)
    decoder: Any = model.autoencoder_.decoder
    assert decoder.contributions.abs().sum() > 0
    model.save(tmp_path / "model")
    again: Any = TextModel.load(tmp_path / "model").autoencoder_.decoder
    torch.testing.assert_close(again.contributions, decoder.contributions)
    told = model.sample(3, seed=0, valid_only=False, properties={names[0]: float(model.property_ranges_[names[0]][0])})
    assert told.attempts == 3
