"""EM in PyTorch beside scikit-learn's, step by step and at the end."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture

from benchmarks import densities
from benchmarks.densities import overlapping_codes as overlapping
from grammar_rae.density import MixtureDensity, em
from grammar_rae.density.em import Mixture, fit_mixture

TIGHT = {"tol": 1e-3, "max_iter": 200, "ridge": 1e-6, "seed": 0}


def sklearns(mixture):
    """A mixture as scikit-learn's, to be asked for its likelihood."""
    made = GaussianMixture(len(mixture.weights))
    made.weights_, made.means_ = mixture.weights.numpy(), mixture.means.numpy()
    made.covariances_ = (mixture.scales @ mixture.scales.mT).numpy()
    made.precisions_cholesky_ = np.linalg.inv(mixture.scales.numpy()).transpose(0, 2, 1)
    return made


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([1e-6, 1e-2]),
    st.sampled_from([0.0, 1e4]),
)
def test_the_steps_are_sklearns(seed, k, d, steps, ridge, shift):
    chance = np.random.default_rng(seed)
    scale = 10.0 ** chance.uniform(-3, 3, d)
    codes = scale * (overlapping(300, d, k, seed) + shift)
    ridge *= float(codes.var(0).min())
    spread = np.diag(codes.std(0))
    start = Mixture(
        torch.full((k,), 1 / k, dtype=torch.float64),
        torch.from_numpy(codes[:k].copy()),
        torch.from_numpy(np.stack([spread] * k)),
    )
    theirs = GaussianMixture(
        k,
        tol=0,
        max_iter=steps,
        reg_covar=ridge,
        weights_init=start.weights.numpy(),
        means_init=start.means.numpy(),
        precisions_init=np.linalg.inv(spread @ spread)[None].repeat(k, 0),
    ).fit(codes)
    centre = torch.from_numpy(codes.mean(0))
    ours, iterations = em._climb(
        torch.from_numpy(codes) - centre, start._replace(means=start.means - centre), -1.0, steps, ridge
    )
    assert iterations == steps
    np.testing.assert_allclose(ours.weights, theirs.weights_, atol=1e-6)
    np.testing.assert_allclose((ours.means + centre).numpy() / scale, theirs.means_ / scale, atol=1e-5)
    unit = scale[:, None] * scale
    np.testing.assert_allclose((ours.scales @ ours.scales.mT).numpy() / unit, theirs.covariances_ / unit, atol=1e-5)


def test_many_codes_start_from_a_part():
    codes = overlapping(12_000, 6, 4, seed=0)
    held_out, codes = codes[:2000], torch.from_numpy(codes[2000:])
    fitted = fit_mixture(codes, 4, part=2000, **TIGHT)
    theirs = max(GaussianMixture(4, random_state=seed).fit(codes.numpy()).score(held_out) for seed in range(2))
    assert sklearns(fitted).score(held_out) > theirs - 0.01 * abs(theirs)
    assert fitted.part_iterations >= 2 and fitted.iterations >= 4  # two to see that it stands still, in each precision
    again = fit_mixture(codes, 4, part=2000, **TIGHT)
    assert all(torch.equal(a, b) for a, b in zip(fitted[:3], again[:3], strict=True))
    assert not torch.equal(fit_mixture(codes, 4, part=2000, **{**TIGHT, "seed": 1}).means, fitted.means)
    assert fit_mixture(codes, 4, part=5001, **TIGHT).part_iterations == 0  # no code is left to choose by
    for limit in (1, 2, 3, 5):
        limited = fit_mixture(codes, 4, part=2000, **{**TIGHT, "max_iter": limit, "tol": 1e-12})
        assert limited.iterations == limit


@pytest.mark.parametrize(
    ("unit", "shift"), [(1.0, 0.0), (10.0 ** np.linspace(-3, 3, 6), 1e3), (1e25, 0.0), (1e-6, 1.0)]
)
def test_the_coarse_start_ends_where_float64_would(unit, shift):
    """The end is a fixed point of EM in float64, as likely as from a start without float32."""
    codes = (overlapping(6000, 6, 3, seed=5) + shift) * unit
    codes = torch.from_numpy(codes)
    ridge = 1e-6 * float(codes.var(0).min())
    options = {**TIGHT, "tol": 1e-6, "max_iter": 1000, "ridge": ridge}
    coarse, exact = fit_mixture(codes, 3, part=1500, **options), fit_mixture(codes, 3, part=6000, **options)
    volume = 6 * np.log(unit).mean()  # log-densities in the codes' own units
    found, expected = (sklearns(mixture).score(codes.numpy()) + volume for mixture in (coarse, exact))
    assert found == pytest.approx(expected, abs=1e-4)
    centre = codes.mean(0)
    sums = em._expectation(codes - centre, coarse._replace(means=coarse.means - centre))
    following = em._maximisation(sums, coarse, ridge)
    torch.testing.assert_close(following.weights, coarse.weights, atol=1e-3, rtol=0)


def test_codes_that_float32_is_too_coarse_for(monkeypatch):
    """Where no covariance comes of float32, the fit is float64's alone."""
    codes = torch.from_numpy(overlapping(3000, 3, 2, seed=6))
    climb, refused = em._climb, []

    def fragile(codes, *others):
        if codes.dtype == torch.float32:
            refused.append(len(codes))
            raise torch.linalg.LinAlgError("not positive definite")
        return climb(codes, *others)

    expected = sklearns(fit_mixture(codes, 2, **TIGHT)).score(codes.numpy())
    monkeypatch.setattr(em, "_climb", fragile)
    fitted = fit_mixture(codes, 2, part=1000, **TIGHT)
    assert set(refused) == {500, 1000, 3000} and fitted.part_iterations == 0
    assert sklearns(fitted).score(codes.numpy()) == pytest.approx(expected, abs=0.02)


def test_the_likelihood_only_rises():
    codes = torch.from_numpy(overlapping(1000, 4, 5, seed=1))
    mixture, before = em._start(codes, 5, 1e-9, torch.Generator().manual_seed(0)), -math.inf
    for _ in range(30):
        sums = em._expectation(codes, mixture)
        assert sums.log_likelihood >= before - 1e-9
        assert sums.log_likelihood == pytest.approx(sklearns(mixture).score(codes.numpy()), abs=1e-9)
        assert float(sums.counts.sum()) == pytest.approx(1000)
        mixture, before = em._maximisation(sums, mixture, 1e-9), sums.log_likelihood


def test_codes_are_taken_in_parts(monkeypatch):
    codes = torch.from_numpy(overlapping(1000, 4, 3, seed=2))
    mixture = em._start(codes, 3, 1e-6, torch.Generator().manual_seed(0))
    whole = em._expectation(codes, mixture)
    monkeypatch.setattr(em, "_HELD", 1)
    for one, other in zip(whole, em._expectation(codes, mixture), strict=True):
        torch.testing.assert_close(torch.as_tensor(one), torch.as_tensor(other))


def test_badly_scaled_codes_are_the_same_mixture():
    """Means far from 0 and units from 1e-3 to 1e3 change a mixture by these units and no more."""
    codes = overlapping(3000, 7, 3, seed=3)
    unit, shift = 10.0 ** np.arange(-3, 4), 1e3
    start = em._start(torch.from_numpy(codes), 3, 0.0, torch.Generator().manual_seed(0))
    plain, _ = em._climb(torch.from_numpy(codes), start, 1e-5, 500, 0.0)
    factor = torch.from_numpy(unit)
    moved = start._replace(means=(start.means + shift) * factor, scales=start.scales * factor.unsqueeze(1))
    scaled, _ = em._climb(torch.from_numpy((codes + shift) * unit), moved, 1e-5, 500, 0.0)
    torch.testing.assert_close(scaled.weights, plain.weights, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(scaled.means / factor - shift, plain.means, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(scaled.scales / factor.unsqueeze(1), plain.scales, rtol=1e-5, atol=1e-6)


def test_a_component_without_codes_stays_where_it_is():
    codes = torch.from_numpy(np.random.default_rng(0).normal(size=(200, 2)))
    far = torch.tensor([[0.0, 0.0], [1e4, 1e4]], dtype=torch.float64)
    start = Mixture(torch.full((2,), 0.5, dtype=torch.float64), far, torch.eye(2, dtype=torch.float64).repeat(2, 1, 1))
    ended, _ = em._climb(codes, start, 1e-6, 50, 1e-6)
    torch.testing.assert_close(ended.means, torch.stack([codes.mean(0), far[1]]))
    torch.testing.assert_close(ended.scales[1], torch.eye(2, dtype=torch.float64))
    assert ended.weights[1] < 1e-9 and all(bool(part.isfinite().all()) for part in ended[:3])


@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_more_components_than_distinct_codes(k):
    codes = torch.tensor([[0.0, 1.0], [4.0, 5.0]], dtype=torch.float64).repeat(20, 1)
    fitted = fit_mixture(codes, k, **TIGHT)
    assert all(bool(part.isfinite().all()) for part in fitted[:3])
    assert float(fitted.weights.sum()) == pytest.approx(1)
    mean = (fitted.weights.unsqueeze(1) * fitted.means).sum(0)
    torch.testing.assert_close(mean, codes.mean(0), rtol=1e-5, atol=1e-5)


def test_first_centres_are_far_apart():
    centres = np.array([[0, 0], [100, 0], [0, 100], [100, 100]])
    codes = torch.from_numpy(np.repeat(centres, 25, axis=0) + np.random.default_rng(0).normal(size=(100, 2)))
    for seed in range(20):
        chosen = em._spread_out(codes, 4, torch.Generator().manual_seed(seed))
        assert len({tuple(row) for row in (chosen / 100).round().int().tolist()}) == 4


def test_both_solvers_on_codes_that_overlap():
    codes = overlapping(6000, 8, 4, seed=4)
    held_out, codes = codes[:2000], codes[2000:]
    scores = {s: MixtureDensity(8, 4, s).fit(codes).score(held_out) for s in ("sklearn", "torch")}
    assert scores["torch"] == pytest.approx(scores["sklearn"], rel=0.01)


def test_the_benchmark(tmp_path, monkeypatch):
    monkeypatch.setattr(densities, "HELD_OUT", 500)
    np.save(tmp_path / "codes.npy", overlapping(400, 3, 2, seed=0).astype(np.float32))
    threads = torch.get_num_threads()
    for codes, latent in ((None, 4), (tmp_path / "codes.npy", 3)):
        *fits, compared = densities.run(n=1000, latent=4, n_components=2, codes=codes, threads=1)
        assert [row["solver"] for row in fits] == ["torch", "sklearn"] * 2  # in turn
        assert [row["seed"] for row in fits] == [0, 0, 1, 1]
        assert all((row["n"], row["latent"], row["components"]) == (1000, latent, 2) for row in fits)
        assert all(row["iterations"] >= 2 and row["seconds"] > 0 for row in fits)
        ours = np.mean([row["held_out_log_likelihood"] for row in fits[::2]])
        theirs = np.mean([row["held_out_log_likelihood"] for row in fits[1::2]])
        assert compared["relative_gain"] == pytest.approx((ours - theirs) / abs(theirs))
        assert abs(compared["relative_gain"]) < 0.02
    assert torch.get_num_threads() == threads
