"""What all densities keep, and the Gaussian, the prior and the mixture beside their closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from grammar_rae.density import DENSITIES, ExactDensity, GaussianDensity, MixtureDensity, PriorDensity, mixture
from grammar_rae.errors import InputError

# Options with which a fit takes no time; how well a net fits is asked in test_neural.py.
QUICK = {
    "two-stage": {"hidden": (16, 16), "epochs": 3},
    "flow": {"transforms": 2, "hidden": (16,), "bins": 4, "epochs": 2},
    "flow-matching": {"hidden": 16, "blocks": 1, "steps": 4, "epochs": 3},
}
NAMES = sorted(DENSITIES)
FITTED = [name for name in NAMES if name != "prior"]  # what a fit changes
CLOSED = ["gaussian", "gmm"]


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
    return DENSITIES[name](latent, **(options or QUICK.get(name, {})))


# -- the prior ------------------------------------------------------------------------------------------------------


def test_the_prior_is_the_standard_gaussian_whatever_it_is_fitted_on():
    points = np.random.default_rng(0).normal(size=(50, 4))
    prior = PriorDensity(4)
    for density in (prior, prior.fit(100 + points)):
        np.testing.assert_allclose(density.log_prob(points), multivariate_normal(np.zeros(4)).logpdf(points))
    drawn = prior.sample(50_000, seeded(0)).numpy()
    np.testing.assert_allclose(drawn.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(4), atol=0.03)
    assert prior.fit(np.empty((0, 4))) is prior


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
    other = GaussianMixture(1, reg_covar=0).fit(codes.astype(np.float64))
    np.testing.assert_allclose(found, other.score_samples(codes.astype(np.float64)), rtol=1e-4, atol=1e-3)


def test_a_gaussian_in_one_dimension():
    fitted = GaussianDensity(1).fit(np.array([[1.0], [3.0]]))
    at = torch.tensor([[2.0], [3.0]])
    assert fitted.log_prob(at).tolist() == pytest.approx(
        [-0.5 * math.log(2 * math.pi), -0.5 * math.log(2 * math.pi) - 0.5], abs=1e-4
    )


def test_a_gaussian_of_fewer_codes_than_dimensions():
    codes = np.random.default_rng(0).normal(size=(5, 20))
    fitted = GaussianDensity(20).fit(codes)
    drawn = fitted.sample(2000, seeded(0)).numpy().astype(np.float64)
    plane = np.linalg.svd(codes - codes.mean(0))[2][:4]  # all that five codes know
    outside = (drawn - codes.mean(0)) - (drawn - codes.mean(0)) @ plane.T @ plane
    assert np.abs(outside).max() < 0.01 and math.isfinite(fitted.score(codes))


# -- the mixture ----------------------------------------------------------------------------------------------------


def test_the_mixtures_log_prob_is_sklearns():
    codes = clouds()
    fitted = MixtureDensity(3, n_components=3).fit(codes, seed=4)
    other = GaussianMixture(3)
    other.weights_ = fitted.weights.double().numpy()
    other.means_ = fitted.means.double().numpy()
    scales = fitted.scales.double().numpy()
    other.covariances_ = scales @ scales.transpose(0, 2, 1)
    other.precisions_cholesky_ = np.linalg.inv(scales).transpose(0, 2, 1)
    points = torch.from_numpy(np.vstack([codes[:200], 50 * clouds(20, seed=1)]))
    np.testing.assert_allclose(fitted.log_prob(points), other.score_samples(points.double().numpy()), rtol=1e-6)


@pytest.mark.parametrize("solver", ["sklearn", "torch"])
def test_the_mixture_finds_the_clouds(solver):
    codes = clouds()
    fitted = MixtureDensity(3, n_components=3, solver=solver).fit(codes)
    assert sorted(fitted.weights.tolist()) == pytest.approx([0.2, 0.3, 0.5], abs=0.03)
    held_out = torch.from_numpy(clouds(1000, seed=0)[500:])
    assert fitted.log_prob(held_out).mean() > GaussianDensity(3).fit(codes).log_prob(held_out).mean() + 1
    ours = fitted.log_prob(torch.from_numpy(codes)).mean().item()
    theirs = GaussianMixture(3, random_state=0).fit(codes.astype(np.float64)).score(codes.astype(np.float64))
    assert ours == pytest.approx(theirs, abs=1e-2)
    assert fitted.iterations >= 2


def test_options_of_the_mixture():
    assert MixtureDensity(2).n_components == 10
    assert [len(value) for value in MixtureDensity(2).fit(clouds(latent=2)).state_dict().values()] == [10, 10, 10]
    for wrong in (0, -1):
        with pytest.raises(InputError, match="needs at least one component"):
            MixtureDensity(2, wrong)
    with pytest.raises(InputError, match=r"unknown solver.*'numpy'.*auto, sklearn, torch"):
        MixtureDensity(2, solver="numpy")
    with pytest.raises(InputError, match="max_iter 0"):
        MixtureDensity(2, max_iter=0)
    for tol in (0, -1, math.nan):
        with pytest.raises(InputError, match=f"tol {tol}"):
            MixtureDensity(2, tol=tol)


def test_the_solver_is_chosen_by_the_number_of_codes(monkeypatch):
    seen, fit = [], mixture.fit_mixture
    monkeypatch.setattr(mixture, "_MANY", 100)
    monkeypatch.setattr(
        mixture, "fit_mixture", lambda codes, *k, **options: seen.append(len(codes)) or fit(codes, *k, **options)
    )
    for n in (99, 100, 101):
        MixtureDensity(3, 3).fit(clouds(n))
    assert seen == [100, 101]
    MixtureDensity(3, 3, solver="sklearn").fit(clouds(102))
    MixtureDensity(3, 3, solver="torch").fit(clouds(98))
    assert seen == [100, 101, 98]


@pytest.mark.parametrize("solver", ["sklearn", "torch"])
def test_the_mixture_ends_by_its_options(solver):
    codes = clouds(500, seed=3)
    assert MixtureDensity(3, 5, solver, max_iter=1).fit(codes).iterations == 1
    assert MixtureDensity(3, 5, solver, tol=1e9).fit(codes).iterations == 2
    tight = MixtureDensity(3, 5, solver, tol=1e-9).fit(codes)
    assert tight.iterations > MixtureDensity(3, 5, solver, tol=1e-1).fit(codes).iterations


def test_density_is_one_over_the_plane():
    fitted = MixtureDensity(2, 2).fit(clouds(latent=2))
    low, high = fitted.means.min() - 12, fitted.means.max() + 12
    axis = torch.linspace(low, high, 400)
    grid = torch.cartesian_prod(axis, axis)
    assert fitted.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=0.02)


def test_samples_of_the_mixture_fall_into_the_clouds():
    fitted = MixtureDensity(3, 3).fit(clouds(20_000))
    drawn = fitted.sample(20_000, seeded(1))
    nearest = torch.cdist(drawn, fitted.means).argmin(1).bincount(minlength=3) / len(drawn)
    data = torch.cdist(torch.from_numpy(clouds(20_000)), fitted.means).argmin(1).bincount(minlength=3) / 20_000
    assert nearest.tolist() == pytest.approx(data.tolist(), abs=0.02)
    entropy = -fitted.log_prob(torch.from_numpy(clouds(20_000))).mean().item()
    assert -fitted.log_prob(drawn).mean().item() == pytest.approx(entropy, abs=0.05)


@pytest.mark.parametrize("name", CLOSED)
def test_samples_have_the_moments_of_the_data(name):
    codes = clouds(20_000)
    drawn = made(name).fit(codes).sample(40_000, seeded(0))
    assert drawn.shape == (40_000, 3) and drawn.dtype == torch.float32
    spread = codes.std(0).max()
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=0.05 * spread)
    np.testing.assert_allclose(np.cov(drawn.numpy().T), np.cov(codes.T), atol=0.05 * spread**2)


# -- every density --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FITTED)
def test_seeds(name):
    codes = clouds(400)
    before = torch.get_rng_state()
    one, same, fitted = made(name).fit(codes, seed=1), made(name).fit(codes.copy(), seed=1), made(name)
    assert fitted.fit(torch.from_numpy(codes), seed=1) is fitted
    for key, value in one.state_dict().items():
        assert value.equal(same.state_dict()[key]) and value.equal(fitted.state_dict()[key])
    assert one.sample(50, seeded(3)).equal(same.sample(50, seeded(3)))
    assert not one.sample(50, seeded(3)).equal(one.sample(50, seeded(4)))
    assert one.score(codes, seed=3) == same.score(codes, seed=3)
    assert torch.get_rng_state().equal(before)
    if name not in CLOSED:
        other = made(name).fit(codes, seed=2).state_dict()
        assert any(not value.equal(other[key]) for key, value in one.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_the_state_is_all(name):
    fitted = made(name).fit(clouds(400))
    again = made(name)
    again.load_state_dict(fitted.state_dict())
    assert again.score(clouds(50, seed=5)) == fitted.score(clouds(50, seed=5))
    assert again.sample(20, seeded(0)).equal(fitted.sample(20, seeded(0)))
    assert not any(value.requires_grad for value in [*fitted.parameters(), *fitted.state_dict().values()])


@pytest.mark.parametrize("name", FITTED)
def test_a_second_fit_forgets_the_first(name):
    twice = made(name).fit(100 + clouds(400, seed=8)).fit(clouds(400))
    once = made(name).fit(clouds(400))
    assert all(value.equal(once.state_dict()[key]) for key, value in twice.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_sizes_of_samples(name, monkeypatch):
    fitted = made(name).fit(clouds(100))
    assert fitted.sample(0, seeded(0)).shape == (0, 3)
    assert fitted.sample(1).shape == (1, 3)
    monkeypatch.setattr("grammar_rae.density.base.CHUNK", 7)
    drawn = fitted.sample(30, seeded(0))
    assert drawn.shape == (30, 3) and drawn.dtype == torch.float32 and drawn.isfinite().all()
    assert len(drawn.unique(dim=0)) == 30
    with pytest.raises(InputError, match="cannot be negative; received -1"):
        fitted.sample(-1)


@pytest.mark.parametrize("name", FITTED)
def test_not_fitted(name):
    uses = [lambda d: d.sample(3), lambda d: d.score(torch.zeros(2, 3)), lambda d: d.sample(0)]
    if issubclass(DENSITIES[name], ExactDensity):
        uses.append(lambda d: d.log_prob(torch.zeros(2, 3)))
    for use in uses:
        with pytest.raises(InputError, match=r"not fitted.*fit\(z\)"):
            use(made(name))


@pytest.mark.parametrize("name", NAMES)
def test_other_shapes(name):
    fitted = made(name).fit(clouds(100))
    for shape in [(), (5,), (20, 2), (20, 4), (20, 1), (4, 5, 3), (0, 2)]:
        for use in (made(name).fit, fitted.fit, fitted.score, getattr(fitted, "log_prob", fitted.score)):
            for z in (np.zeros(shape), torch.zeros(shape)):
                with pytest.raises(InputError, match=r"received shape .*expected \(N, 3\)"):
                    use(z)
    with pytest.raises(InputError, match="no codes to score"):
        fitted.score(np.empty((0, 3)))
    with pytest.raises(InputError, match="latent"):
        made(name, latent=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_codes_that_are_no_numbers(name, value):
    codes = clouds(50)
    codes[31, 1] = value
    fitted = made(name).fit(clouds(100))
    before = {key: tensor.clone() for key, tensor in fitted.state_dict().items()}
    for use in (fitted.fit, fitted.score):
        with pytest.raises(InputError, match=r"NaN or infinite.*learning rate"):
            use(codes)
    assert all(tensor.equal(before[key]) for key, tensor in fitted.state_dict().items())


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [("gmm", {}, 10), ("gmm", {"n_components": 1}, 2), *((name, {}, 2) for name in FITTED if name != "gmm")],
)
def test_too_few_codes(name, options, least):
    for n in range(least):
        with pytest.raises(InputError, match=f"too few codes.*received {n}; expected {least} or more"):
            made(name, **options).fit(clouds(50)[:n])
    fitted = made(name, **options).fit(clouds(50)[:least])
    assert fitted.sample(5, seeded(0)).isfinite().all()


@pytest.mark.parametrize("name", FITTED)
def test_a_constant_dimension(name):
    codes = clouds(1000)
    codes[:, 1] = 7
    fitted = made(name).fit(codes)
    drawn = fitted.sample(500, seeded(0))
    assert (drawn[:, 1] - 7).abs().max() < 0.05 and drawn[:, 0].std() > 1
    assert math.isfinite(fitted.score(codes))


@pytest.mark.parametrize("name", [*FITTED, "gmm by torch"])
def test_codes_that_are_all_the_same(name):
    fitted = (made(name) if name in NAMES else MixtureDensity(3, 4, "torch")).fit(np.full((40, 3), 2.5))
    assert (fitted.sample(100, seeded(0)) - 2.5).abs().max() < 1e-3
    assert math.isfinite(fitted.score(torch.full((2, 3), 2.5)))


@pytest.mark.parametrize("name", [*FITTED, "gmm by torch"])
def test_codes_of_few_distinct_values(name, recwarn):
    codes = np.repeat(clouds(4), 30, axis=0)
    fitted = (made(name) if name in NAMES else MixtureDensity(3, 10, "torch")).fit(codes)
    assert fitted.sample(100, seeded(0)).isfinite().all()
    assert math.isfinite(fitted.score(codes))
    assert not recwarn.list


@pytest.mark.parametrize("name", NAMES)
def test_codes_come_as_users_have_them(name):
    """Float32 or float64, read-only, strided, from a net in inference mode, and with gradients: always the same fit."""
    codes = clouds(200)
    once = made(name).fit(codes)
    frozen = codes.astype(np.float64)
    frozen.flags.writeable = False
    with torch.inference_mode():
        inferred = torch.from_numpy(codes).clone()
        within = made(name)
    within = made(name)
    with torch.inference_mode():
        within.fit(inferred)
        score = within.score(inferred)
    kinds = [frozen, np.repeat(codes, 2, axis=0)[::2], inferred, torch.from_numpy(codes).requires_grad_()]
    for fitted in [within, *(made(name).fit(z) for z in kinds)]:
        for key, value in fitted.state_dict().items():
            assert value.equal(once.state_dict()[key])
    assert score == once.score(codes)
    copied = torch.from_numpy(codes.astype(np.float64))
    made(name).fit(copied)
    assert copied.equal(torch.from_numpy(codes.astype(np.float64)))


@pytest.mark.parametrize("name", [name for name in NAMES if issubclass(DENSITIES[name], ExactDensity)])
def test_log_prob(name, monkeypatch):
    fitted = made(name).fit(clouds(200))
    points = clouds(100, seed=2)
    whole = fitted.log_prob(torch.from_numpy(points))
    assert whole.shape == (100,) and whole.dtype == torch.float64
    assert fitted.score(points) == pytest.approx(whole.mean().item(), rel=1e-12)
    monkeypatch.setattr(fitted, "chunk", 7)
    torch.testing.assert_close(fitted.log_prob(points), whole, rtol=1e-5, atol=1e-5)
    assert fitted.log_prob(points[:0]).shape == (0,)
    assert fitted.score_kind == "log-likelihood"
