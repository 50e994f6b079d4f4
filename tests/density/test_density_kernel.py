"""The kernel density beside SciPy's and scikit-learn's."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf

from grammar_rae.density import GaussianDensity, KernelDensity
from grammar_rae.errors import InputError


def moons(n, seed=0):
    """Codes along half a circle: what one Gaussian does not fit."""
    chance = np.random.default_rng(seed)
    angle = chance.uniform(0, math.pi, n)
    return np.stack([np.cos(angle), np.sin(angle), 0.1 * angle], axis=1) + 0.05 * chance.normal(size=(n, 3))


def test_log_prob_is_the_mean_of_the_kernels():
    codes = moons(40)
    fitted = KernelDensity(3).fit(codes)
    kernel = fitted.scale.double() @ fitted.scale.double().T
    at = np.random.default_rng(1).normal(size=(7, 3))
    expected = [
        np.mean([multivariate_normal(c, kernel.numpy()).pdf(z) for c in fitted.centres[:40].numpy()]) for z in at
    ]
    np.testing.assert_allclose(fitted.log_prob(at).exp(), expected, rtol=1e-6)


def test_the_kernels_shape_is_the_shrunken_covariance():
    codes = moons(200)
    fitted = KernelDensity(3).fit(codes)
    ratio = (fitted.scale @ fitted.scale.T).numpy() / ledoit_wolf(codes)[0]
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-3)


def test_the_bandwidth_is_the_likeliest_of_leaving_one_out():
    codes = torch.from_numpy(moons(120))
    fitted = KernelDensity(3).fit(codes)

    def left_out(factor):
        scale = factor * fitted.scale.double()
        kernel = (scale @ scale.T).numpy()
        return np.mean(
            [
                np.log(np.mean([multivariate_normal(c, kernel).pdf(z) for j, c in enumerate(codes.numpy()) if j != i]))
                for i, z in enumerate(codes.numpy()[:40])
            ]
        )

    assert left_out(1.0) > max(left_out(0.5), left_out(2.0))


def test_it_fits_what_a_gaussian_does_not_and_stays_near_few_codes():
    codes, held_out = moons(300), moons(300, seed=1)
    kernel, gaussian = KernelDensity(3).fit(codes), GaussianDensity(3).fit(codes)
    assert kernel.score(held_out) > gaussian.score(held_out) + 0.5
    few = np.random.default_rng(2).normal(size=(20, 64))
    draws = KernelDensity(64).fit(few).sample(500, torch.Generator().manual_seed(0))
    nearest = torch.cdist(draws.double(), torch.from_numpy(few)).min(dim=1).values
    between = torch.pdist(torch.from_numpy(few)).mean()
    assert nearest.mean() < between


def test_more_codes_than_points_are_thinned_at_random_and_by_the_seed():
    codes = moons(500)
    one, again, other = (KernelDensity(3, n_points=50).fit(codes, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.centres, again.centres) and not torch.equal(one.centres, other.centres)
    assert int(one.count) == 50
    known = {tuple(row) for row in codes.astype(np.float32).round(4).tolist()}
    assert all(tuple(row) in known for row in one.centres.numpy().round(4).tolist())


def test_codes_that_are_all_the_same():
    fitted = KernelDensity(4).fit(np.ones((10, 4)))
    assert math.isfinite(fitted.score(np.ones((1, 4))))
    assert (fitted.sample(20, torch.Generator().manual_seed(0)) - 1).abs().max() < 0.01


@pytest.mark.parametrize("n_points", [0, 1, 2.0, True, "many"])
def test_points_that_cannot_be_used(n_points):
    with pytest.raises(InputError, match="n_points"):
        KernelDensity(3, n_points=n_points)
