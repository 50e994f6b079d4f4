"""The mathematics of the search in latent space, against oracles: the surrogate, the acquisitions, the front."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from grammar_rae.errors import InputError
from grammar_rae.optimization.acquisition import log_expected_improvement, search_box
from grammar_rae.optimization.pareto import is_on_front
from grammar_rae.optimization.surrogate import Kernel, SparseGP, held_out_quality, log_likelihood


@pytest.fixture(scope="module")
def rows() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    return x, np.sin(x[:, 0]) + x[:, 1] ** 2 + 0.3 * rng.normal(size=60)


# --- the surrogate ---------------------------------------------------------------------------------------------------


def exact(gp: SparseGP, x: Any, y: Any) -> GaussianProcessRegressor:
    """scikit-learn's process with the same parameters."""
    kernel = ConstantKernel(float(gp.kernel.variance)) * RBF(gp.kernel.lengthscales.numpy())
    return GaussianProcessRegressor(kernel, alpha=float(gp.kernel.noise), optimizer=None).fit(
        x, (y - gp.offset) / gp.scale
    )


def test_with_the_data_as_inducing_points_the_process_is_exact(rows: Any) -> None:
    x, y = rows
    gp, new = SparseGP.fit(x, y, n_inducing=len(x)), np.random.default_rng(1).normal(size=(20, 3))
    mean, deviation = gp.predict(torch.from_numpy(new))
    theirs, their_deviation = exact(gp, x, y).predict(new, return_std=True)
    np.testing.assert_allclose(mean.numpy(), gp.offset + gp.scale * theirs, atol=1e-4)
    np.testing.assert_allclose(deviation.numpy(), gp.scale * their_deviation, rtol=1e-4)
    _, covariance = gp.joint(torch.from_numpy(new))
    _, theirs = exact(gp, x, y).predict(new, return_cov=True)
    np.testing.assert_allclose(covariance.numpy(), gp.scale**2 * theirs, atol=1e-5)


def test_the_likelihood_is_the_exact_one(rows: Any) -> None:
    x, y = rows
    gp = SparseGP.fit(x, y)
    mine = log_likelihood(gp.kernel, torch.from_numpy(x), torch.from_numpy((y - gp.offset) / gp.scale))
    assert float(mine) == pytest.approx(exact(gp, x, y).log_marginal_likelihood_value_, rel=1e-6)


def test_few_inducing_points_are_the_projection_of_the_process(rows: Any) -> None:
    """Titsias (2009), equation 6, written with inverses."""
    x, y = (torch.from_numpy(part) for part in rows)
    kernel = Kernel(torch.tensor([1.0, 2.0, 3.0]).double(), torch.tensor(1.5).double(), torch.tensor(0.2).double())
    z, new = x[:10], x[50:55]
    gp = SparseGP(kernel, z).condition(x.numpy(), y.numpy())
    kzz, kzx, kzn = kernel(z, z), kernel(z, x), kernel(z, new)
    sigma = torch.linalg.inv(kzz + kzx @ kzx.T / kernel.noise)
    mean, deviation = gp.predict(new)
    torch.testing.assert_close(mean, kzn.T @ sigma @ kzx @ y / kernel.noise, rtol=1e-5, atol=1e-5)
    variance = (kernel(new, new) - kzn.T @ torch.linalg.inv(kzz) @ kzn + kzn.T @ sigma @ kzn).diagonal()
    torch.testing.assert_close(deviation.square(), variance, rtol=1e-5, atol=1e-6)


def test_belief_is_a_datum_of_the_expected_value(rows: Any) -> None:
    x, y = rows
    gp = SparseGP.fit(x, y, n_inducing=len(x))
    new = torch.from_numpy(np.random.default_rng(2).normal(size=(6, 3)))
    mean, _ = gp.predict(new)
    believed = gp.believe(new[:1]).believe(new[1:2])
    theirs = exact(gp, np.concatenate([x, new[:2]]), np.concatenate([y, mean[:2]])).predict(new, return_std=True)
    np.testing.assert_allclose(believed.predict(new)[0], mean)
    np.testing.assert_allclose(believed.predict(new)[1], gp.scale * theirs[1], rtol=1e-3)
    np.testing.assert_allclose(believed.joint(new)[1].diagonal().sqrt(), believed.predict(new)[1], rtol=1e-6)


def test_draws_have_the_posterior_moments(rows: Any) -> None:
    gp, new = SparseGP.fit(*rows), torch.zeros(2, 3, dtype=torch.float64) + torch.tensor([[0.0], [0.5]])
    drawn = gp.sample(new, 20_000, torch.Generator().manual_seed(0))
    mean, covariance = gp.joint(new)
    torch.testing.assert_close(drawn.mean(0), mean, rtol=0, atol=0.02)
    torch.testing.assert_close(drawn.T.cov(), covariance, rtol=0.05, atol=0.01)


def test_held_out_quality_beats_the_mean_and_knows_its_noise(rows: Any) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 2))
    y = 10 * np.sin(x[:, 0]) + rng.normal(size=300)
    found = held_out_quality(x, y)
    assert found["n"] == 30
    assert 0.6 < found["rmse"] < 1.6
    assert found["log_likelihood"] == pytest.approx(norm.logpdf(rng.normal(size=1000)).mean(), abs=0.35)


@pytest.mark.parametrize(
    ("x", "y"), [(np.zeros((1, 2)), [0.0]), (np.zeros((3, 2)), [0.0, 1.0]), (np.zeros((2, 2)), [0.0, math.nan])]
)
def test_the_surrogate_refuses(x: Any, y: Any) -> None:
    with pytest.raises(InputError):
        SparseGP.fit(x, np.array(y))


def test_codes_or_values_that_are_all_the_same_can_be_fitted() -> None:
    for x, y in ((np.zeros((30, 2)), np.arange(30.0)), (np.random.default_rng(0).normal(size=(30, 2)), np.ones(30))):
        mean, deviation = SparseGP.fit(x, y).predict(torch.zeros(1, 2, dtype=torch.float64))
        assert bool(mean.isfinite() and deviation.isfinite())


# --- acquisitions ----------------------------------------------------------------------------------------------------


@given(mean=st.floats(-3, 3), deviation=st.floats(0.3, 3), best=st.floats(-3, 3))
@settings(max_examples=30)
def test_expected_improvement_is_the_integral(mean: float, deviation: float, best: float) -> None:
    u = (mean - best) / deviation
    # The integral of t phi(u - t) over t > 0, the improvement in units of the deviation, without the factor phi(u).
    wanted, _ = quad(lambda t: t * math.exp(u * t - t * t / 2), 0, max(u, 0) + 12, epsabs=0, epsrel=1e-11, limit=200)
    mine = log_expected_improvement(*torch.tensor([[mean], [deviation]], dtype=torch.float64), best)
    assert float(mine) == pytest.approx(math.log(deviation) + norm.logpdf(u) + math.log(wanted), abs=1e-7)


def test_expected_improvement_is_botorchs(rows: Any) -> None:
    analytic = pytest.importorskip("botorch.acquisition.analytic")
    from grammar_rae.optimization.botorch_model import Surrogates

    gp = SparseGP.fit(*rows, n_inducing=30)
    new = torch.from_numpy(np.random.default_rng(2).normal(size=(40, 3)))
    best = float(gp.predict(new)[0].median())
    theirs = analytic.LogExpectedImprovement(Surrogates([gp]), best_f=best)(new.unsqueeze(1)).detach()
    torch.testing.assert_close(log_expected_improvement(*gp.predict(new), best), theirs, rtol=1e-3, atol=1e-3)


def test_far_below_the_best_the_improvement_keeps_its_digits_and_its_gradient() -> None:
    u = torch.tensor([-0.5, -1.0, -1.001, -5.0, -30.0, -999.0, -1001.0, -1e6], dtype=torch.float64, requires_grad=True)
    value = log_expected_improvement(u, torch.ones_like(u), 0.0)
    value.sum().backward()
    assert u.grad is not None and bool(u.grad.isfinite().all())
    # h'(u) / h(u) = Phi(u) / h(u); far out h(u) ~ phi(u) / u^2 and Phi(u) ~ phi(u) / |u|.
    np.testing.assert_allclose(u.grad[4:].numpy(), -u.detach()[4:].numpy(), rtol=1e-2)
    wanted = [math.log(norm.pdf(t) + t * norm.cdf(t)) for t in (-0.5, -1.0, -1.001, -5.0)]
    np.testing.assert_allclose(value.detach()[:4].numpy(), wanted, rtol=1e-7)


def test_the_search_finds_the_maximum_in_the_box() -> None:
    low, high = -torch.ones(2).double(), torch.ones(2).double()
    starts = torch.tensor([[0.9, -0.9], [-0.5, 0.5], [3.0, 3.0]]).double()
    peak = torch.tensor([0.25, 2.0]).double()
    found = search_box(lambda x: -(x - peak).square().sum(-1), low, high, starts)
    torch.testing.assert_close(found[0], torch.tensor([0.25, 1.0]).double(), rtol=0, atol=1e-5)
    assert bool(((found >= low) & (found <= high)).all())


@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 3))
@settings(max_examples=50)
def test_the_front_by_brute_force(seed: int, n: int, m: int) -> None:
    values = np.random.default_rng(seed).integers(0, 4, (n, m)).astype(float)
    values[np.random.default_rng(seed + 1).uniform(size=n) < 0.1] = np.nan
    wanted = []
    for row in values:
        beaten = any((other >= row).all() and (other > row).any() for other in values)
        wanted.append(not beaten and not np.isnan(row).any())
    assert is_on_front(values).tolist() == wanted
