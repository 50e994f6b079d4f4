"""Surrogates against closed forms, and the strategy that asks them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from grammar_rae.errors import InputError
from grammar_rae.optimization import SURROGATES, Observations, Question, fingerprints, surrogates
from grammar_rae.optimization.analogues import CROSSING, DRAWS, AnaloguesStrategy, parent_chances
from grammar_rae.optimization.fingerprints import LEVELS, SIZE, fingerprint_counts, nearest, tanimoto
from grammar_rae.optimization.proposals import Decoded
from grammar_rae.optimization.surrogates import Known, Points, TanimotoSurrogate, describe_points, rank_correlation

TEXTS = [f"{'C' * n}{end}" for n in range(1, 9) for end in ("O", "N", "c1ccccc1", "C(=O)O", "F")]


def known(n: int = 40) -> Known:
    """Molecules whose value is their number of carbon atoms, which their codes tell, too."""
    values = np.array([float(text.upper().count("C")) for text in TEXTS[:n]])
    noise = np.random.default_rng(0).normal(size=(n, 2))
    points = describe_points(np.column_stack([values / 5, noise]), TEXTS[:n])
    return Known(points, values, np.arange(n) // 10)


def test_similarity_is_that_of_counts() -> None:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2)
    counts = np.zeros((20, SIZE))
    for row, text in zip(counts, TEXTS, strict=False):
        for index, count in generator.GetSparseCountFingerprint(Chem.MolFromSmiles(text)).GetNonzeroElements().items():
            row[index % SIZE] += count
    one, other = np.minimum(counts, LEVELS)[:, None], np.minimum(counts, LEVELS)[None]
    truth = np.minimum(one, other).sum(2) / np.maximum(one, other).sum(2)
    packed = fingerprint_counts(TEXTS[:20])
    assert packed is not None
    np.testing.assert_allclose(tanimoto(packed, packed), truth, atol=1e-6)
    assert fingerprint_counts(["CCO", "sin(x)"]) is None
    assert nearest(["CCCO"], ["CCO", "c1ccccc1"])[0][0] == "CCO" and nearest(["CCO"], [])[0][0] == ""


def test_similarities_are_the_same_however_common_bits_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = fingerprint_counts(TEXTS)
    assert packed is not None
    one_by_one = tanimoto(packed, packed[:5])
    monkeypatch.setattr(fingerprints, "_FEW", 0)
    monkeypatch.setattr(fingerprints, "_ROWS", 7)
    np.testing.assert_array_equal(tanimoto(packed, packed[:5]), one_by_one)
    np.testing.assert_array_equal(tanimoto(packed, packed)[:, :5], one_by_one)


def test_the_tanimoto_process_is_that_of_the_closed_form() -> None:
    data = known()
    fitted = TanimotoSurrogate().fit(data, 0)
    assert data.points.counts is not None
    new = fingerprint_counts(["CCCCOC", "c1ccccc1CC(=O)O"])
    assert new is not None
    kernel = fitted.variance_ * tanimoto(data.points.counts, data.points.counts)
    across = fitted.variance_ * tanimoto(new, data.points.counts)
    gram = kernel + fitted.variance_ * fitted.ratio_ * np.eye(len(kernel))
    centred = data.values - data.values.mean()
    mean, spread = fitted.predict(Points(np.zeros((2, 3)), new))
    np.testing.assert_allclose(mean, data.values.mean() + across @ np.linalg.solve(gram, centred), rtol=1e-6)
    variance = fitted.variance_ - np.einsum("ij,ji->i", across, np.linalg.solve(gram, across.T))
    np.testing.assert_allclose(spread, np.sqrt(variance), rtol=1e-5)

    def likelihood(variance: float, ratio: float) -> float:
        matrix = variance * (kernel / fitted.variance_ + ratio * np.eye(len(kernel)))
        return float(-0.5 * (np.linalg.slogdet(matrix)[1] + centred @ np.linalg.solve(matrix, centred)))

    best = likelihood(fitted.variance_, fitted.ratio_)
    for ratio in surrogates.RATIOS:
        for factor in (0.5, 0.9, 1.1, 2.0):
            assert likelihood(factor * fitted.variance_, float(ratio)) <= best + 1e-6


@pytest.mark.parametrize("name", SURROGATES)
def test_a_surrogate_ranks_what_it_has_not_seen(name: str) -> None:
    data = known()
    rows = np.random.default_rng(1).permutation(40)
    one, other = (SURROGATES[name]().fit(data.take(rows[:30]), 0).predict(data.points.take(rows[30:])) for _ in "12")
    np.testing.assert_array_equal(one[0], other[0])
    assert rank_correlation(one[0], data.values[rows[30:]]) > 0.7
    assert (one[1] >= 0).all() and (one[1] > 0).any() and np.isfinite(one).all()


@pytest.mark.parametrize("name", SURROGATES)
def test_only_some_surrogates_need_molecules(name: str) -> None:
    data = known()
    plain = Known(Points(data.points.codes, None), data.values, data.iterations)
    if SURROGATES[name].needs_molecules:
        with pytest.raises(InputError, match="not all texts are molecules"):
            SURROGATES[name]().fit(plain, 0)
    else:
        mean, _ = SURROGATES[name]().fit(plain, 0).predict(plain.points)
        assert rank_correlation(mean, plain.values) > 0.9


def test_of_many_points_the_best_are_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogates, "MOST", 10)
    data = known()
    fitted = TanimotoSurrogate().fit(data, 0)
    assert len(fitted._counts) == 10
    best = data.points.take(np.argsort(-data.values, kind="stable")[:5]).counts
    assert best is not None and all((row == fitted._counts).all(1).any() for row in best)


class Guesser(surrogates.Surrogate):
    """Reads fingerprints, and guesses."""

    def fit(self, known: Known, seed: int) -> "Guesser":
        return self

    def predict(self, points: Points) -> Any:
        rng = np.random.default_rng(3)
        return rng.normal(size=len(points.codes)), np.ones(len(points.codes))


def test_the_ensemble_trusts_who_was_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SURROGATES, "guesser", Guesser)
    weights = surrogates.EnsembleSurrogate().fit(known(), 0).weights_
    assert set(weights) == {"tanimoto", "forest", "guesser"} and sum(weights.values()) == pytest.approx(1)
    assert weights["guesser"] < min(weights["tanimoto"], weights["forest"])


def test_of_many_points_some_weigh_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TanimotoSurrogate().fit(known(), 0).ratio_
    monkeypatch.setattr(surrogates, "WEIGHED", 20)
    data = known()
    fitted = TanimotoSurrogate().fit(data, 0)
    assert fitted.ratio_ in surrogates.RATIOS and abs(np.log10(fitted.ratio_ / whole)) < 1.5
    mean, spread = fitted.predict(data.points)
    assert np.abs(mean - data.values).mean() < 0.5 and (spread > 0).all()


def test_rank_correlation_is_scipys() -> None:
    from scipy.stats import spearmanr

    one, other = np.random.default_rng(0).integers(0, 6, (2, 30)).astype(float)
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert rank_correlation(one, np.ones(30)) == 0


# --- the strategy ----------------------------------------------------------------------------------------------------


def seen(origin: str = "noise 1", good: bool = True, iterations: int = 3) -> Observations:
    """Ten data, then iterations in which the texts of one origin are better than all before, and the draws worse."""
    rng = np.random.default_rng(0)
    values, origins, numbers = list(rng.normal(size=10)), [""] * 10, [0] * 10
    for iteration in range(1, iterations + 1):
        values += [10.0 * iteration if good else -9.0] * 5 + [-10.0] * 5
        origins += [origin] * 5 + [DRAWS] * 5
        numbers += [iteration] * 10
    codes = rng.normal(size=(len(values), 3))
    return Observations(codes, np.array(values)[:, None], np.array(numbers), [], origins)


def asked(n: int = 10) -> Question:
    return Question(n, 7, lambda codes: -np.square(codes).sum(1))


def test_ways_have_what_they_earned() -> None:
    strategy = AnaloguesStrategy(n_parents=5)
    shares = strategy.shares(seen())
    assert sum(shares.values()) == pytest.approx(1) and set(shares) == set(strategy.ways)
    assert max(shares, key=lambda way: shares[way]) == "noise 1" and min(shares, key=lambda way: shares[way]) == DRAWS
    assert shares["noise 0.5"] == shares[CROSSING]  # not tried
    bad = strategy.shares(seen(good=False))
    assert bad["noise 1"] < bad[CROSSING]
    # What failed long ago is tried again.
    soon, late = seen(iterations=1), seen(iterations=6)
    origins = [
        way if way != DRAWS or number == 1 else "" for way, number in zip(late.origins, late.iterations, strict=True)
    ]
    soon_shares, late_shares = strategy.shares(soon), strategy.shares(replace(late, origins=origins))
    assert late_shares[DRAWS] / late_shares[CROSSING] > 1.5 * soon_shares[DRAWS] / soon_shares[CROSSING]
    assert len(set(strategy.shares(seen(iterations=0)).values())) == 1


def test_nothing_but_draws_as_long_as_all_is_equally_good() -> None:
    strategy = AnaloguesStrategy(surrogate="codes", n_parents=5)
    blank = replace(seen(), values=np.zeros((40, 1)))
    assert strategy.shares(blank) == {way: float(way == DRAWS) for way in strategy.ways}
    codes = np.random.default_rng(3).normal(size=(60, 3))
    found = [Decoded(str(row), True, 1.0, DRAWS if row >= 30 else "noise 1") for row in range(60)]
    assert strategy.choose(blank, asked(20), codes, found) == list(range(30, 50))  # as they came, not the oddest


@pytest.mark.parametrize("surrogate", ["codes", "forest", "tanimoto"])
def test_the_scale_of_a_score_does_not_matter(surrogate: str) -> None:
    """Values between 0 and 1e-60 are told apart as those between 0 and 1 are; by a power of 2, to the last bit."""
    data, strategy = known(), AnaloguesStrategy(surrogate=surrogate)
    texts = TEXTS[: len(data.values)]
    large = Observations(data.points.codes, data.values[:, None], data.iterations, texts, [DRAWS] * len(texts))
    small = replace(large, values=2.0**-200 * large.values)
    found = [Decoded(text, True, 1.0) for text in texts[:20]]
    ours, tiny = (strategy.expect(one, asked(), one.codes[:20], found) for one in (large, small))
    for one, other in zip(ours, tiny, strict=True):
        np.testing.assert_allclose(one, 2.0**200 * other)
    chosen, again = (strategy.choose(one, asked(5), one.codes[:20], found) for one in (large, small))
    assert chosen == again


def test_draws_are_evaluated_as_long_as_they_earn_it() -> None:
    strategy = AnaloguesStrategy(surrogate="codes", n_parents=5)
    codes = np.random.default_rng(3).normal(size=(60, 3))
    found = [Decoded(str(row), True, 1.0, DRAWS if row < 30 else "noise 1") for row in range(60)]

    def drawn(what: Observations) -> int:
        return sum(index < 30 for index in strategy.choose(what, asked(20), codes, found))

    shares = strategy.shares(seen())
    assert drawn(seen()) == round(20 * shares[DRAWS]) < drawn(seen(DRAWS, iterations=2))


def test_parents_are_chosen_by_rank() -> None:
    chances = parent_chances(100)
    assert chances.sum() == pytest.approx(1) and (np.diff(chances) < 0).all()
    assert chances[0] / chances[98] == pytest.approx(50)
    what = seen()
    codes = AnaloguesStrategy(levels=[1.0], n_parents=2).pool(what, asked())
    top = what.codes[np.argsort(-what.merit, kind="stable")[:2]]
    on_the_line = np.abs(np.cross(codes - top[0], top[1] - top[0])).max()
    assert on_the_line < 1e-9  # a parent, or between the two


class Noting:
    """A decoder that notes what it was asked for, and says nothing new."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def decode_noisy(self, codes: Any, levels: Any, units: Any, seed: int, origins: Any) -> list[Decoded]:
        self.asked.append((levels, origins))
        return [Decoded("C", True, 1.0, origin) for origin in origins]

    def sample(self, n: int, seed: int, origin: str, properties: Any = None) -> Any:
        return np.zeros((n, 3), np.float32), [Decoded("C", True, 1.0, origin)] * n


def test_all_children_are_decoded_at_once() -> None:
    decoder: Any = Noting()
    strategy = AnaloguesStrategy(n_pool=60)
    latent, found = strategy.draw(seen(), asked(5), decoder)
    ((levels, origins),) = decoder.asked
    assert len(latent) == len(found) and {one.origin for one in found} == set(strategy.ways)
    told = {origin: level for origin, level in zip(origins, levels, strict=True)}
    assert told == {"noise 0.5": 0.5, "noise 1": 1.0, "noise 1.5": 1.5, "noise 2": 2.0, CROSSING: 0.5}


def test_only_surrogates_that_read_codes_need_them() -> None:
    molecules = replace(seen(iterations=0), texts=["CCO", "CCN", "CCF", "CCC", "CO", "CN", "CF", "CC", "C", "O"])
    words = replace(molecules, texts=["x"] * 10)
    needs = {
        name: [AnaloguesStrategy(surrogate=name).needs_codes(what) for what in (molecules, words)]
        for name in SURROGATES
    }
    assert [AnaloguesStrategy().needs_codes(what) for what in (molecules, words)] == [False, True]
    assert needs["codes"] == [True, True] and needs["ensemble"] == [False, True] and not needs["tanimoto"][0]


@pytest.mark.parametrize("option", [{"surrogate": "x"}, {"levels": "1"}, {"levels": [True]}, {"n_pool": 0}])
def test_options_are_checked(option: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        AnaloguesStrategy(**option)
