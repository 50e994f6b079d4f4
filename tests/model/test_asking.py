"""Properties that are asked for, and how likely texts are."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from grammar_rae import chem
from grammar_rae.chem.properties import properties
from grammar_rae.codecs import GrammarCodec
from grammar_rae.decoding import Guided
from grammar_rae.density import (
    GaussianDensity,
    KernelDensity,
    MixtureDensity,
    draw_given,
    find_gaussians,
    log_prob_given,
)
from grammar_rae.density.conditioning import Gaussians
from grammar_rae.errors import CheckpointError, InputError, TextError, UnknownNameError
from grammar_rae.model import TextModel, likelihood
from grammar_rae.model.asked import TOLERANCE
from grammar_rae.model.samples import collect
from grammar_rae.model.sampling import TRIES
from grammar_rae.scores import Window
from tests.models import edit
from tests.test_conditions import TEXTS, TOLD


@pytest.fixture(scope="module")
def told() -> TextModel:
    overrides = {**TOLD, "epochs": 40, "batch_size": 32, "learning_rate": 5e-3, "smoothing": 1.0}
    return TextModel("tiny", overrides=overrides).fit(TEXTS * 2)


@pytest.fixture(scope="module")
def plain() -> TextModel:
    return TextModel("tiny", overrides={"epochs": 1}).fit(TEXTS)


# -- conditional Gaussians -------------------------------------------------------------------------------------------


def mixture(seed: int = 0) -> Gaussians:
    rng = torch.Generator().manual_seed(seed)
    scales = torch.randn(3, 4, 4, generator=rng, dtype=torch.float64).tril()
    scales.diagonal(dim1=1, dim2=2).abs_().add_(0.3)
    means = 2 * torch.randn(3, 4, generator=rng, dtype=torch.float64)
    return Gaussians(torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log(), means, scales)


def test_draws_have_the_moments_of_the_conditional_density() -> None:
    """By importance weights of plain draws, which know nothing of the closed form."""
    found, variance = mixture(), 0.5
    weight = torch.tensor([[1.0, -0.5, 0.0, 0.3], [0.0, 0.4, 1.0, 0.0]], dtype=torch.float64)
    bias, target = torch.tensor([0.1, -0.2], dtype=torch.float64), torch.tensor([1.0, 0.5], dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    n = 400_000
    chosen = torch.multinomial(found.log_weights.exp(), n, replacement=True, generator=generator)
    noise = torch.randn(n, 4, 1, generator=generator, dtype=torch.float64)
    z = found.means[chosen] + (found.scales[chosen] @ noise).squeeze(2)
    weights = torch.softmax(-0.5 * (z @ weight.T + bias - target).square().sum(1) / variance, dim=0)
    expected = weights @ z
    spread = weights @ (z - expected).square()
    drawn = draw_given(found, weight, bias, target.expand(50_000, 2), variance, generator).double()
    torch.testing.assert_close(drawn.mean(0), expected, atol=0.08, rtol=0)
    torch.testing.assert_close(drawn.var(0), spread, atol=0.12, rtol=0.05)


def test_the_evidence_of_a_mixture() -> None:
    found, target = mixture(), torch.tensor([[0.5, -1.0, 0.3, 2.0]], dtype=torch.float64)
    expected = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=found.log_weights),
        torch.distributions.MultivariateNormal(
            found.means, found.scales @ found.scales.transpose(1, 2) + 0.7 * torch.eye(4, dtype=torch.float64)
        ),
    ).log_prob(target)
    eye = torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(log_prob_given(found, eye, torch.zeros(4), target, 0.7), expected)


def test_each_row_has_its_own_target() -> None:
    found = mixture()
    weight, targets = torch.eye(1, 4, dtype=torch.float64), torch.linspace(-2, 2, 400).unsqueeze(1)
    drawn = draw_given(found, weight, torch.zeros(1), targets, 1e-6, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn[:, :1], targets, atol=0.02, rtol=0)


def test_which_densities_are_made_of_gaussians() -> None:
    codes = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    for density, n in ((GaussianDensity(4), 1), (MixtureDensity(4, 3), 3), (KernelDensity(4), 200)):
        found = find_gaussians(density.fit(codes))
        assert found is not None and len(found.means) == len(found.log_weights) == n
        drawn = draw_given(found, torch.eye(1, 4), torch.zeros(1), torch.full((50, 1), 0.7), 1e-4)
        assert drawn.shape == (50, 4) and abs(float(drawn[:, 0].mean()) - 0.7) < 0.05
    from grammar_rae.density import FlowMatchingDensity

    assert find_gaussians(FlowMatchingDensity(4)) is None


def test_a_bandwidth_that_is_chosen() -> None:
    codes = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    narrow, wide = (KernelDensity(4, bandwidth=h).fit(codes) for h in (0.01, 1.0))
    torch.testing.assert_close(wide.scale, 100 * narrow.scale)
    nearest = torch.cdist(narrow.sample(50), codes).amin(1)
    assert float(nearest.max()) < 0.2
    for bandwidth in (0, -1.0, math.inf, math.nan, True, "1"):
        with pytest.raises(InputError, match="bandwidth"):
            KernelDensity(4, bandwidth=bandwidth)  # type: ignore[arg-type]


# -- draws with properties -------------------------------------------------------------------------------------------


def test_what_is_asked_for_moves_draws(told: TextModel) -> None:
    light, heavy = (told.sample(60, seed=0, properties={"weight": weight}) for weight in (45, 75))
    means = [np.mean([properties(text, ("weight",))[0] for text in one.texts]) for one in (light, heavy)]
    assert means[0] < means[1]
    assert light.properties == {"weight": 45} and 0 <= light.hit_rate <= 1
    assert math.isnan(told.sample(3, seed=0).hit_rate)


def test_the_ranges_that_can_be_asked_for(told: TextModel, plain: TextModel) -> None:
    assert list(told.property_ranges_) == ["weight", "rings"] and plain.property_ranges_ == {}
    assert all(low < high for low, high in told.property_ranges_.values())


def test_strict_draws_have_what_was_asked_for(told: TextModel) -> None:
    result = told.sample(20, seed=0, properties={"weight": (40, 60)}, strict=True)
    assert len(result) == 20 and all(40 <= properties(text, ("weight",))[0] <= 60 for text in result.texts)
    assert result.n_hits <= result.n_valid <= result.attempts
    again = told.sample(20, seed=0, properties={"weight": (40, 60)}, strict=True)
    assert again.texts == result.texts
    with pytest.warns(UserWarning, match="have what was asked for"):
        told.sample(20, seed=0, properties={"weight": (59.0, 59.1)}, strict=True, max_attempts=20)


def test_of_several_tries_the_nearest_is_taken(told: TextModel) -> None:
    asked = told._ask({"weight": 60.0})
    pool, codes = ["CCO", "CCCC", "C1CC", "CCCCO", "CC", "C"], np.arange(6, dtype=np.float32)[:, None]
    seen = 0

    def draw(n: int) -> tuple[list[str | None], NDArray[np.float32]]:
        nonlocal seen
        rows = [(seen + row) % 6 for row in range(3 * n)]
        seen += 3 * n
        return [pool[row] for row in rows], codes[rows[::3]]

    found = collect(draw, told.codec.canonical, 4, 100, 5, True, 1, asked, tries=3)
    # Of 46, 58 and what is invalid, the second; of 74, 30 and 16, the first. Each with its code.
    assert found.texts == ["CCCC", "CCCCO"] * 2 and found.latent[:, 0].tolist() == [0, 3] * 2
    assert found.attempts == 12 and found.n_valid == 10 and found.n_hits == 2 * sum(map(told_near, pool))
    few = collect(draw, told.codec.canonical, 4, 8, 5, True, 1, asked, tries=3)
    assert few.attempts == 6 and len(few.texts) == 2


def told_near(text: str) -> bool:
    """Whether a molecule is near 60 Da, by the deviation of the texts that the model learned."""
    weights = [properties(one, ("weight",))[0] for one in TEXTS]
    return chem.is_valid(text) and abs(properties(text, ("weight",))[0] - 60) <= TOLERANCE * np.std(weights)


def test_more_tries_come_nearer(told: TextModel) -> None:
    def miss(**options: Any) -> float:
        found = told.sample(40, seed=0, properties={"weight": 60.0}, **options)
        assert found.attempts % found.tries == 0
        return float(np.mean([abs(properties(text, ("weight",))[0] - 60) for text in found.texts]))

    alone, usual, many = miss(tries=1), miss(), miss(tries=12)
    assert many < usual < alone
    assert told.sample(2, seed=0, properties={"weight": 60.0}).tries == TRIES
    for options in ({}, {"properties": {"weight": 60.0}, "strict": True}, {"where": "weight < 100"}):
        assert told.sample(2, seed=0, **options).tries == 1  # type: ignore[arg-type]


def test_codes_are_moved_to_where_the_property_is_read(told: TextModel) -> None:
    z = told.encode(["CCO", "CCCC"])
    asked = told._ask({"weight": 70.0})
    values, moved = asked.move(torch.from_numpy(z), torch.Generator().manual_seed(0))
    head = told.autoencoder_.head.predict(moved)[:, 0]  # type: ignore[operator]
    torch.testing.assert_close(head.detach(), values[:, 0], atol=1e-3, rtol=0)
    assert len(told.decode(z, smoothing=0.75, properties={"weight": 70.0}, temperature=1.0, seed=0)) == 2
    batch = told.decode_batch(z, smoothing=0.75, properties={"weight": (50, 70)}, temperature=1.0, seed=0)
    assert batch.texts == told.decode(z, smoothing=0.75, properties={"weight": (50, 70)}, temperature=1.0, seed=0)


def test_analogues_are_moved_from_their_lead(told: TextModel) -> None:
    lightest, heaviest = told.property_ranges_["weight"]
    ethanol = float(properties("CCO", ("weight",))[0])
    moved = [told._shift("CCO", {"weight": move})["weight"] for move in (-1e6, 3.0, 1e6)]
    assert moved == pytest.approx([lightest, ethanol + 3, heaviest])
    found = told.analogues("CCO", n=3, smoothing=2.0, properties={"weight": 10.0}, changes=False, seed=0)
    assert len(found) > 0 and np.isfinite(found["log_prob"]).all()
    for moves, error in (({"size": 1.0}, UnknownNameError), ({"weight": math.nan}, InputError)):
        with pytest.raises(error):
            told.analogues("CCO", n=3, properties=moves)


@pytest.mark.parametrize(
    "asked",
    [
        {"weight": math.nan},
        {"weight": math.inf},
        {"weight": (70, 50)},
        {"weight": (1, 2, 3)},
        {"weight": "heavy"},
        {"weight": True},
        {"weight": 5_000},
        {"weight": (-10, 0)},
        {"size": 3},
        ["weight"],
    ],
    ids=str,
)
def test_what_cannot_be_asked_for(told: TextModel, asked: Any) -> None:
    with pytest.raises(InputError) as caught:
        told.sample(3, properties=asked)
    assert isinstance(caught.value, UnknownNameError) == (asked == {"size": 3})


def test_what_does_not_go_together(told: TextModel, plain: TextModel) -> None:
    with pytest.raises(InputError, match="told no properties"):
        plain.sample(3, properties={"weight": 50})
    with pytest.raises(InputError, match="strict"):
        told.sample(3, strict=True)
    with pytest.raises(InputError, match="strict"):
        told.sample(3, valid_only=False, properties={"weight": 50}, strict=True)
    for options in ({"tries": 2}, {"tries": 2, "valid_only": False, "properties": {"weight": 50}}, {"tries": 0}):
        with pytest.raises(InputError, match="tries"):
            told.sample(3, **options)  # type: ignore[arg-type]
    for guidance in (-1, math.nan, math.inf, "much"):
        with pytest.raises(InputError, match="guidance"):
            told.sample(3, properties={"weight": 50}, guidance=guidance)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="beam"):
        told.decode(told.codes_[:1], beam=2, properties={"weight": 50})


def test_guidance_of_zero_is_the_decoder_itself(told: TextModel) -> None:
    nets = told.autoencoder_
    z = nets.smooth(
        torch.from_numpy(told.codes_[:5]),
        1.0,
        torch.Generator().manual_seed(0),
        nets.condition.tell(5, {"weight": 60.0}),
    )
    untold = nets.untell(z)
    assert torch.equal(untold[:, : -nets.condition.size], z[:, : -nets.condition.size])
    lhs = torch.zeros(5, dtype=torch.int64)
    decoder: Any = nets.decoder
    alone, _ = decoder.step(decoder.begin(z), None, lhs)
    without, _ = decoder.step(decoder.begin(untold), None, lhs)
    for guidance, expected in ((0.0, alone), (1.0, 2 * alone - without), (-1.0, without)):
        guided = Guided(decoder, untold, guidance)
        logits, state = guided.step(guided.begin(z), None, lhs)
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        assert len(state.rows(torch.arange(2)).told.hidden) == 2


# -- how likely a text is --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finite(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    """A model of a language of 2 + 4 + 8 texts."""
    grammar = tmp_path_factory.mktemp("grammar") / "finite.cfg"
    grammar.write_text("s -> a | a a | a a a\na -> 'x' | 'y'\n")
    texts = ["".join(one) for n in (1, 2, 3) for one in itertools.product("xy", repeat=n)]
    overrides = {**TOLD, "codec_options": {"grammar": str(grammar), "n_macros": 0}, "form": "text", "epochs": 5}
    overrides |= {"condition": "none", "condition_options": {}, "head": "none", "head_options": {}}
    return TextModel("tiny", overrides=overrides).fit(texts * 8)


def language() -> list[str]:
    return ["".join(one) for n in (1, 2, 3) for one in itertools.product("xy", repeat=n)]


def test_probabilities_of_all_texts_of_a_finite_language_add_up_to_one(finite: TextModel) -> None:
    assert np.exp(finite.log_prob(language())).sum() == pytest.approx(1, abs=1e-5)


def test_bounds_of_all_texts_stay_below_one_and_grow_with_the_codes(finite: TextModel) -> None:
    sums = [np.exp(finite.log_prob(language(), codes=k, seed=0)).sum() for k in (1, 64)]
    assert sums[0] < sums[1] < 1.1


def test_a_bound_with_many_codes_agrees_with_draws(finite: TextModel) -> None:
    drawn = finite.sample(4_000, seed=0, temperature=1.0, constraint="grammar").texts
    shares = np.array([drawn.count(text) / len(drawn) for text in language()])
    bound = np.exp(finite.log_prob(language(), codes=4_000, seed=0))
    np.testing.assert_allclose(bound, shares, atol=0.05)


def test_the_logits_of_few_rows_are_held_at_a_time(finite: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [finite.log_prob(language(), codes=k, seed=0) for k in (0, 3)]
    rows: list[int] = []
    monkeypatch.setattr(likelihood, "AT_ONCE", 5)
    hook = finite.autoencoder_.decoder.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    few = [finite.log_prob(language(), codes=k, seed=0) for k in (0, 3)]
    hook.remove()
    np.testing.assert_allclose(few, whole, atol=1e-4)
    assert max(rows) == 5 and sum(rows) == 14 + 3 * 14


def test_texts_in_any_order_and_number(told: TextModel) -> None:
    values = told.log_prob(TEXTS[:12])
    assert values.dtype == np.float64 and (values < 0).all()
    np.testing.assert_allclose(told.log_prob(TEXTS[:12][::-1])[::-1], values, atol=1e-4)
    assert told.log_prob([]).shape == (0,)
    assert np.isnan(told.log_prob(["CCO", "nonsense"], errors="nan")).tolist() == [False, True]
    with pytest.raises(TextError):
        told.log_prob(["nonsense"])


def test_the_largest_part_of_a_salt_is_measured(told: TextModel) -> None:
    salts, parts = ["CCO.C", "CCCC"], ["CCO", "CCCC"]
    for measure in (told.log_prob, told.typicality):
        np.testing.assert_array_equal(measure(salts, fragments="largest"), measure(parts))
        with pytest.raises(TextError, match="text 1 of 2"):
            measure(salts)


def test_typicality_is_a_share_of_the_training_rows(told: TextModel, tmp_path: Any) -> None:
    shares = told.typicality(sorted(set(TEXTS)))
    assert ((shares >= 0) & (shares <= 1)).all()
    order = np.argsort(told.log_prob(sorted(set(TEXTS))))
    assert (np.diff(shares[order]) >= 0).all()
    assert np.isnan(told.typicality(["nonsense"], errors="nan")).all()
    told.save(tmp_path / "saved")
    np.testing.assert_array_equal(TextModel.load(tmp_path / "saved").typicality(["CCO"]), told.typicality(["CCO"]))
    edit(lambda index: index["meta"].update(log_prob_percentiles=[1.0] * 7))(tmp_path / "saved")
    with pytest.raises(CheckpointError, match="percentiles"):
        TextModel.load(tmp_path / "saved")


def test_what_has_no_likelihood(plain: TextModel, told: TextModel) -> None:
    with pytest.raises(InputError, match="code"):
        plain.log_prob(["CCO"])
    with pytest.raises(InputError, match="likelihoods"):
        plain.typicality(["CCO"])
    assert np.isfinite(plain.log_prob(["CCO"], codes=4)).all()
    for codes in (-1, 1.5, True, "4"):
        with pytest.raises(InputError, match="codes"):
            told.log_prob(["CCO"], codes=codes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="errors"):
        told.log_prob(["CCO"], errors="skip")  # type: ignore[arg-type]
    binary = TextModel("tiny", overrides={"likelihood": "binary", "epochs": 1}).fit(TEXTS)
    with pytest.raises(InputError, match="likelihood"):
        binary.log_prob(["CCO"], codes=1)
    assert isinstance(told.codec, GrammarCodec)


# -- windows ---------------------------------------------------------------------------------------------------------


def test_draws_of_a_window_are_inside(told: TextModel, plain: TextModel) -> None:
    for model in (told, plain):
        result = model.sample(15, seed=0, where="30 <= weight <= 70 and alerts == 0", temperature=0.7)
        weights = [properties(text, ("weight",))[0] for text in result.texts]
        assert all(30 <= weight <= 70 for weight in weights)
        assert result.where is not None and 0 < result.hit_rate <= 1
    asked = told._ask({}, Window("30 <= weight <= 70 and rings < 2"))
    assert asked.ranges["weight"] == (float(told.autoencoder_.condition.lowest[0]), 70) and asked.wanted == {}


def test_windows_that_cannot_be_served(told: TextModel) -> None:
    with pytest.raises(InputError, match="contradicts"):
        told.sample(3, where="weight < 40 and weight > 60")
    with pytest.raises(InputError, match="valid_only"):
        told.sample(3, valid_only=False, where="weight < 40")
    with pytest.raises(UnknownNameError):
        told.sample(3, where="beauty > 3")
    with pytest.warns(UserWarning, match="what was asked for"):
        assert len(told.sample(3, where="weight > 5000", max_attempts=30)) == 0


def test_known_molecules_are_not_drawn(told: TextModel) -> None:
    first = told.sample(20, seed=0).texts
    again = told.sample(20, seed=0, new_to=first[:5]).texts
    assert not set(again) & set(first[:5])
