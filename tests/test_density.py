import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from grammar_rae import density
from grammar_rae.density import DENSITIES, GaussianDensity, MixtureDensity
from grammar_rae.errors import InputError

NAMES = sorted(DENSITIES)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def clouds(n=3000, latent=3, seed=0):
    """Codes from three correlated Gaussians far apart, float32."""
    chance = np.random.default_rng(seed)
    centres = 6 * chance.normal(size=(3, latent))
    spreads = chance.normal(size=(3, latent, latent)) / 2
    which = chance.choice(3, n, p=[0.5, 0.3, 0.2])
    noise = chance.normal(size=(n, latent, 1))
    return (centres[which] + (spreads[which] @ noise)[..., 0]).astype(np.float32)


def made(name, latent=3, **options):
    return DENSITIES[name](latent, **options)


# -- the Gaussian ---------------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(10, 200), st.sampled_from([1e-2, 1.0, 1e3]))
def test_the_gaussian_is_the_closed_form(seed, latent, n, scale):
    chance = np.random.default_rng(seed)
    codes = scale * (
        chance.normal(size=(n, latent)) @ chance.normal(size=(latent, latent)) + chance.normal(size=latent)
    )
    fitted = GaussianDensity(latent).fit(torch.from_numpy(codes))
    assert fitted.weights.tolist() == [1]
    np.testing.assert_allclose(fitted.means[0], codes.mean(0), rtol=1e-5, atol=1e-5 * scale)
    covariance = (codes - codes.mean(0)).T @ (codes - codes.mean(0)) / n
    square = (fitted.scales[0] @ fitted.scales[0].T).numpy()
    np.testing.assert_allclose(square, covariance, rtol=1e-4, atol=1e-5 * np.trace(covariance))
    assert fitted.scales[0].triu(1).abs().max() == 0


def test_the_gaussians_log_prob_is_scipys():
    codes = clouds(500, latent=4)
    fitted = GaussianDensity(4).fit(codes)
    expected = multivariate_normal(codes.mean(0), np.cov(codes.T, bias=True)).logpdf(codes)
    found = fitted.log_prob(torch.from_numpy(codes))
    assert found.dtype == torch.float64 and found.shape == (500,)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
    mixture = GaussianMixture(1, reg_covar=0).fit(codes.astype(np.float64))
    np.testing.assert_allclose(found, mixture.score_samples(codes.astype(np.float64)), rtol=1e-4, atol=1e-3)


def test_a_gaussian_in_one_dimension():
    fitted = GaussianDensity(1).fit(np.array([[1.0], [3.0]]))
    at = torch.tensor([[2.0], [3.0]])
    assert fitted.log_prob(at).tolist() == pytest.approx(
        [-0.5 * math.log(2 * math.pi), -0.5 * math.log(2 * math.pi) - 0.5], abs=1e-4
    )


# -- the mixture ----------------------------------------------------------------------------------------------------


def test_the_mixtures_log_prob_is_sklearns():
    codes = clouds()
    fitted = MixtureDensity(3, n_components=3).fit(codes, seed=4)
    mixture = GaussianMixture(3)
    mixture.weights_ = fitted.weights.double().numpy()
    mixture.means_ = fitted.means.double().numpy()
    scales = fitted.scales.double().numpy()
    mixture.covariances_ = scales @ scales.transpose(0, 2, 1)
    mixture.precisions_cholesky_ = np.linalg.inv(scales).transpose(0, 2, 1)
    points = torch.from_numpy(np.vstack([codes[:200], 50 * clouds(20, seed=1)]))
    np.testing.assert_allclose(fitted.log_prob(points), mixture.score_samples(points.double().numpy()), rtol=1e-6)


def test_the_mixture_finds_the_clouds():
    codes = clouds()
    fitted = MixtureDensity(3, n_components=3).fit(codes)
    assert sorted(fitted.weights.tolist()) == pytest.approx([0.2, 0.3, 0.5], abs=0.03)
    held_out = torch.from_numpy(clouds(1000, seed=0)[500:])
    assert fitted.log_prob(held_out).mean() > GaussianDensity(3).fit(codes).log_prob(held_out).mean() + 1
    ours = fitted.log_prob(torch.from_numpy(codes)).mean().item()
    theirs = GaussianMixture(3, random_state=0).fit(codes.astype(np.float64)).score(codes.astype(np.float64))
    assert ours == pytest.approx(theirs, abs=1e-2)


def test_ten_components_unless_told():
    assert MixtureDensity(2).n_components == 10
    assert [len(value) for value in MixtureDensity(2).fit(clouds(latent=2)).state_dict().values()] == [10, 10, 10]
    for wrong in (0, -1):
        with pytest.raises(InputError, match="needs a component"):
            MixtureDensity(2, wrong)


def test_density_is_one_over_the_plane():
    fitted = MixtureDensity(2, 2).fit(clouds(latent=2))
    low, high = fitted.means.min() - 12, fitted.means.max() + 12
    axis = torch.linspace(low, high, 400)
    grid = torch.cartesian_prod(axis, axis)
    assert fitted.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=0.02)


def test_log_prob_is_the_same_in_parts(monkeypatch):
    fitted, points = MixtureDensity(3, 4).fit(clouds()), torch.from_numpy(clouds(100, seed=2))
    whole = fitted.log_prob(points)
    monkeypatch.setattr(density, "_CHUNK", 7)
    torch.testing.assert_close(fitted.log_prob(points), whole)
    assert fitted.log_prob(points[:0]).shape == (0,)


# -- every density --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_samples_have_the_moments_of_the_data(name):
    codes = clouds(20_000)
    fitted = made(name).fit(codes)
    drawn = fitted.sample(40_000, seeded(0))
    assert drawn.shape == (40_000, 3) and drawn.dtype == torch.float32
    spread = codes.std(0).max()
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=0.05 * spread)
    np.testing.assert_allclose(np.cov(drawn.numpy().T), np.cov(codes.T), atol=0.05 * spread**2)


def test_samples_of_the_mixture_fall_into_the_clouds():
    fitted = MixtureDensity(3, 3).fit(clouds(20_000))
    drawn = fitted.sample(20_000, seeded(1))
    nearest = torch.cdist(drawn, fitted.means).argmin(1).bincount(minlength=3) / len(drawn)
    data = torch.cdist(torch.from_numpy(clouds(20_000)), fitted.means).argmin(1).bincount(minlength=3) / 20_000
    assert nearest.tolist() == pytest.approx(data.tolist(), abs=0.02)
    entropy = -fitted.log_prob(torch.from_numpy(clouds(20_000))).mean().item()
    assert -fitted.log_prob(drawn).mean().item() == pytest.approx(entropy, abs=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_seeds(name):
    codes = clouds()
    one, same, fitted = made(name).fit(codes, seed=1), made(name).fit(codes.copy(), seed=1), made(name)
    assert fitted.fit(torch.from_numpy(codes), seed=1) is fitted
    for key, value in one.state_dict().items():
        assert value.equal(same.state_dict()[key]) and value.equal(fitted.state_dict()[key])
    assert one.sample(50, seeded(3)).equal(same.sample(50, seeded(3)))
    assert not one.sample(50, seeded(3)).equal(one.sample(50, seeded(4)))
    before = torch.get_rng_state()
    one.sample(5, seeded(3))
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("name", NAMES)
def test_the_state_is_all(name):
    fitted = made(name).fit(clouds())
    again = made(name)
    again.load_state_dict(fitted.state_dict())
    points = torch.from_numpy(clouds(50, seed=5))
    assert again.log_prob(points).equal(fitted.log_prob(points))
    assert again.sample(20, seeded(0)).equal(fitted.sample(20, seeded(0)))
    assert not list(fitted.parameters()) and not any(value.requires_grad for value in fitted.state_dict().values())


@pytest.mark.parametrize("name", NAMES)
def test_a_second_fit_forgets_the_first(name):
    twice = made(name).fit(100 + clouds(seed=8)).fit(clouds())
    once = made(name).fit(clouds())
    assert all(value.equal(once.state_dict()[key]) for key, value in twice.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_sizes_of_samples(name):
    fitted = made(name).fit(clouds())
    assert fitted.sample(0, seeded(0)).shape == (0, 3)
    assert fitted.sample(1).shape == (1, 3)
    with pytest.raises(InputError, match="cannot be negative; received -1"):
        fitted.sample(-1)


@pytest.mark.parametrize("name", NAMES)
def test_not_fitted(name):
    for use in (lambda d: d.sample(3), lambda d: d.log_prob(torch.zeros(2, 3)), lambda d: d.sample(0)):
        with pytest.raises(InputError, match=r"not fitted.*fit\(z\)"):
            use(made(name))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(), (5,), (20, 2), (20, 4), (20, 1), (4, 5, 3), (0, 2)])
def test_other_shapes(name, shape):
    with pytest.raises(InputError, match=r"received shape .*expected \(N, 3\)"):
        made(name).fit(np.zeros(shape))
    fitted = made(name).fit(clouds())
    with pytest.raises(InputError, match=r"received shape .*expected \(N, 3\)"):
        fitted.log_prob(torch.zeros(shape))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_codes_that_are_no_numbers(name, value):
    codes = clouds(50)
    codes[31, 1] = value
    fitted = made(name).fit(clouds())
    before = fitted.means.clone()
    with pytest.raises(InputError, match=r"not finite.*learning rate"):
        fitted.fit(codes)
    assert fitted.means.equal(before)


@pytest.mark.parametrize(
    ("name", "options", "least"), [("gaussian", {}, 2), ("gmm", {}, 10), ("gmm", {"n_components": 1}, 2)]
)
def test_too_few_codes(name, options, least):
    for n in range(least):
        with pytest.raises(InputError, match=f"too few codes.*received {n}; expected {least} or more"):
            made(name, **options).fit(clouds(50)[:n])
    fitted = made(name, **options).fit(clouds(50)[:least])
    assert fitted.sample(5, seeded(0)).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_dimension(name):
    codes = clouds()
    codes[:, 1] = 7
    fitted = made(name).fit(codes)
    drawn = fitted.sample(500, seeded(0))
    assert (drawn[:, 1] - 7).abs().max() < 0.05 and drawn[:, 0].std() > 1
    assert fitted.log_prob(torch.from_numpy(codes)).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_codes_that_are_all_the_same(name):
    fitted = made(name).fit(np.full((40, 3), 2.5))
    assert (fitted.sample(100, seeded(0)) - 2.5).abs().max() < 1e-3
    assert fitted.log_prob(torch.full((2, 3), 2.5)).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_codes_of_few_distinct_values(name, recwarn):
    codes = np.repeat(clouds(4), 30, axis=0)
    fitted = made(name).fit(codes)
    assert fitted.sample(100, seeded(0)).isfinite().all()
    assert not recwarn.list


@pytest.mark.parametrize("name", NAMES)
def test_a_random_part_of_many_codes(name, monkeypatch):
    monkeypatch.setattr(density, "MAX_POINTS", 500)
    chance = np.random.default_rng(0)
    codes = np.concatenate([chance.normal(0, 1, (600, 2)), chance.normal(50, 1, (600, 2))])
    options = {"n_components": 2} if name == "gmm" else {}
    seen = []
    estimate = DENSITIES[name]._estimate
    monkeypatch.setattr(DENSITIES[name], "_estimate", lambda self, z, seed: seen.append(z) or estimate(self, z, seed))
    for seed in (0, 0, 1):
        DENSITIES[name](2, **options).fit(codes, seed=seed)
    assert [len(z) for z in seen] == [500] * 3
    assert np.array_equal(seen[0], seen[1]) and not np.array_equal(seen[0], seen[2])
    share = (seen[0][:, 0] > 25).mean()  # not only the first ones
    assert 0.4 < share < 0.6
    assert len(np.unique(seen[0], axis=0)) == 500
    DENSITIES[name](2, **options).fit(codes[:500])
    assert np.array_equal(seen[-1], codes[:500])
