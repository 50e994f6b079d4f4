"""Densities that are nets: beside closed forms, integrals and histograms."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.stats import multivariate_normal, norm
from torch import nn

from grammar_rae.density import FlowDensity, FlowMatchingDensity, TwoStageDensity
from grammar_rae.density.neural import fix_seed, mlp
from grammar_rae.errors import InputError, MissingExtraError, TrainingError

NETS = {
    "two-stage": lambda latent, **more: TwoStageDensity(
        latent, **{"hidden": (64, 64), "epochs": 20, "learning_rate": 2e-3, **more}
    ),
    "flow": lambda latent, **more: FlowDensity(
        latent, **{"transforms": 2, "hidden": (32, 32), "epochs": 12, "batch_size": 128, "learning_rate": 5e-3, **more}
    ),
    "flow-matching": lambda latent, **more: FlowMatchingDensity(
        latent, **{"hidden": 64, "blocks": 2, "epochs": 40, "batch_size": 128, "learning_rate": 3e-3, **more}
    ),
}
TINY = {
    "two-stage": {"hidden": (4,), "epochs": 1},
    "flow": {"hidden": (4,), "epochs": 1},
    "flow-matching": {"hidden": 4, "blocks": 1, "epochs": 1},
}


def drawn(density, n, seed=0):
    return density.sample(n, torch.Generator().manual_seed(seed)).numpy().astype(np.float64)


@pytest.mark.parametrize("name", NETS)
def test_a_gaussian_is_recovered(name):
    chance = np.random.default_rng(0)
    mean, covariance = np.array([5.0, -3.0]), np.array([[4.0, 0.9], [0.9, 0.25]])
    codes = chance.multivariate_normal(mean, covariance, 6000)
    fitted = NETS[name](2).fit(codes[:4000])
    found = drawn(fitted, 20_000)
    unit = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((found.mean(0) - mean) / unit, 0, atol=0.1)
    np.testing.assert_allclose((np.cov(found.T) - covariance) / np.outer(unit, unit), 0, atol=0.12)
    entropy = multivariate_normal(mean, covariance).entropy()
    # The truth is the best there is; a lower bound may be a little lower still.
    assert -entropy - 0.15 < fitted.score(codes[4000:]) < -entropy + 0.05


def two_clusters(n, seed):
    chance = np.random.default_rng(seed)
    x = np.where(chance.random(n) < 0.7, -3, 3) + 0.5 * chance.normal(size=n)
    return np.stack([x, 0.5 * x + 0.5 * chance.normal(size=n)], axis=1)


@pytest.mark.parametrize("name", ["flow", "flow-matching"])
def test_two_clusters(name):
    fitted = NETS[name](2).fit(two_clusters(4000, seed=1))
    found = drawn(fitted, 20_000)
    assert (found[:, 0] < 0).mean() == pytest.approx(0.7, abs=0.05)
    assert (np.abs(found[:, 0]) < 1).mean() < 0.03  # the clusters have 0.00003 there, a Gaussian 0.2
    # -E log q, with the clusters so far apart that their entropies and that of the choice add up.
    entropy = 2 * norm(0, 0.5).entropy() - 0.7 * math.log(0.7) - 0.3 * math.log(0.3)
    assert -entropy - 0.15 < fitted.score(two_clusters(1000, seed=2)) < -entropy + 0.06
    # Samples and log-densities come from the two directions of the flow. They agree: 1 / q(z), averaged over those
    # samples that fall into a box, is the area of the box.
    box = found[(np.abs(found - [-3, -1.5]) < 0.5).all(axis=1)]
    assert np.exp(-fitted.log_prob(box).numpy()).sum() / len(found) == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("name", ["flow", "flow-matching"])
def test_density_is_one_over_the_plane(name):
    """With random weights too, and in units that are unlike each other."""
    fitted = NETS[name](2, **TINY[name]).fit(np.random.default_rng(2).normal(size=(200, 2)) * [0.01, 10] + [7, 0])
    with fix_seed(3):
        for parameter in fitted.net.parameters():
            parameter.normal_(0, 0.3)
    axis = torch.linspace(-9, 9, 91)
    grid = fitted.shift + fitted.scale * torch.cartesian_prod(axis, axis)
    area = float(fitted.scale.double().prod()) * 0.2**2
    assert float(fitted.log_prob(grid.double()).exp().sum()) * area == pytest.approx(1, abs=0.03)


# -- closed forms ---------------------------------------------------------------------------------------------------


class Linear(nn.Module):
    """v(x, t) = A x."""

    def __init__(self, matrix):
        super().__init__()
        self.register_buffer("matrix", torch.from_numpy(matrix).float())

    def forward(self, x, t):
        return x @ self.matrix.T


def test_flow_matching_of_a_linear_velocity_is_a_gaussian():
    """Noise ends at exp(A) times itself; the log-density has the trace of A as its divergence."""
    chance = np.random.default_rng(0)
    matrix = 0.5 * chance.normal(size=(3, 3))
    density = FlowMatchingDensity(3, **{**TINY["flow-matching"], "steps": 12}).fit(chance.normal(size=(50, 3)))
    density.net = Linear(matrix)
    density.shift.copy_(torch.tensor([1.0, 2.0, 3.0]))
    density.scale.copy_(torch.tensor([0.1, 1.0, 10.0]))
    root = np.diag([0.1, 1, 10]) @ expm(matrix)
    gaussian = multivariate_normal([1, 2, 3], root @ root.T)
    points = gaussian.rvs(50, random_state=0)
    np.testing.assert_allclose(density.log_prob(points), gaussian.logpdf(points), rtol=1e-4, atol=1e-3)
    noise = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).double().numpy()
    np.testing.assert_allclose(drawn(density, 20), noise @ root.T + [1, 2, 3], rtol=1e-3, atol=1e-3)


def test_flow_matching_scores_a_thousand_codes(monkeypatch):
    codes = np.random.default_rng(0).normal(size=(3000, 1))
    fitted = FlowMatchingDensity(1, **TINY["flow-matching"], steps=1).fit(codes)
    seen = []
    log_prob = FlowMatchingDensity.log_prob
    monkeypatch.setattr(FlowMatchingDensity, "log_prob", lambda self, z: seen.append(len(z)) or log_prob(self, z))
    first, same, other = (fitted.score(codes, seed=seed) for seed in (0, 0, 1))
    assert seen == [1000] * 3 and first == same != other
    assert fitted.score(codes[:999]) == pytest.approx(float(log_prob(fitted, codes[:999]).mean()))


def test_the_bound_of_an_idle_second_stage_is_a_gaussians():
    """Nets of zeros: nothing is encoded, the divergence is 0 and the bound is the decoder's Gaussian."""
    density = TwoStageDensity(2, **TINY["two-stage"]).fit(np.random.default_rng(0).normal(size=(50, 2)))
    for parameter in density.net.parameters():
        parameter.zero_()
    density.net.log_gamma.fill_(math.log(0.5))
    density.shift.copy_(torch.tensor([1.0, -1.0]))
    density.scale.copy_(torch.tensor([2.0, 0.2]))
    gaussian = multivariate_normal([1, -1], np.diag([1.0, 0.01]))
    points = gaussian.rvs(200, random_state=0)
    assert density.score(points) == pytest.approx(gaussian.logpdf(points).mean(), rel=1e-5)
    found = drawn(density, 20_000)
    np.testing.assert_allclose(found.mean(0), [1, -1], atol=0.03)
    np.testing.assert_allclose(np.cov(found.T), [[1, 0], [0, 0.01]], atol=0.03)


def test_the_bound_of_a_linear_second_stage_is_below_its_density():
    """A linear decoder has the density N(0, W W' + gamma^2); with the exact posterior the bound touches it."""
    weights, gamma = np.array([[0.8, 0.0], [0.3, 0.5]]), 0.6
    truth = multivariate_normal([0, 0], weights @ weights.T + gamma**2 * np.eye(2))
    posterior = np.linalg.inv(np.eye(2) + weights.T @ weights / gamma**2)
    density = TwoStageDensity(2, **TINY["two-stage"]).fit(np.random.default_rng(0).normal(size=(50, 2)))
    density.shift.zero_()
    density.scale.fill_(1)
    encoder, decoder = mlp((2, 4)), mlp((2, 2))
    points = truth.rvs(20_000, random_state=0)
    with torch.no_grad():
        decoder[0].weight.copy_(torch.from_numpy(weights))
        decoder[0].bias.zero_()
        encoder[0].weight[:2] = torch.from_numpy(posterior @ weights.T / gamma**2)
        encoder[0].weight[2:] = 0
        encoder[0].bias[:2] = 0
        # The best diagonal posterior has the inverse diagonal of the precision.
        variance = 1 / np.diag(np.linalg.inv(posterior))
        encoder[0].bias[2:] = torch.from_numpy(np.log(variance))
    density.net.encoder, density.net.decoder = encoder, decoder
    density.net.log_gamma.fill_(math.log(gamma))
    gap = 0.5 * (np.log(np.linalg.det(posterior)) - np.log(variance).sum())  # the KL between the two posteriors
    assert density.score(points) == pytest.approx(truth.logpdf(points).mean() - gap, abs=0.02)
    assert density.score_kind == "evidence lower bound" and gap > 0.01


# -- training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETS)
def test_the_best_epoch_is_kept(name, monkeypatch):
    density = NETS[name](2, **{**TINY[name], "epochs": 3})
    losses, states = iter([3.0, 1.0, 2.0]), []

    def judged(self, net, *others):
        states.append({key: value.clone() for key, value in net.state_dict().items()})
        return next(losses)

    monkeypatch.setattr(type(density), "_held_out_loss", judged)
    density.fit(np.random.default_rng(0).normal(size=(300, 2)))
    assert all(value.equal(states[1][key]) for key, value in density.net.state_dict().items())
    assert any(not value.equal(states[2][key]) for key, value in density.net.state_dict().items())


@pytest.mark.parametrize("name", NETS)
def test_a_training_that_diverges_leaves_the_density_as_it_was(name, monkeypatch):
    codes = np.random.default_rng(0).normal(size=(100, 2))
    density = NETS[name](2, **TINY[name])
    monkeypatch.setattr(type(density), "_held_out_loss", lambda *_: math.nan)
    with pytest.raises(TrainingError, match=r"not a number.*learning_rate"):
        density.fit(codes)
    with pytest.raises(InputError, match="not fitted"):
        density.sample(1)
    monkeypatch.undo()
    before = {key: value.clone() for key, value in density.fit(codes).state_dict().items()}
    monkeypatch.setattr(type(density), "_held_out_loss", lambda *_: math.nan)
    with pytest.raises(TrainingError):
        density.fit(5 + codes)
    assert all(value.equal(before[key]) for key, value in density.state_dict().items())


@pytest.mark.parametrize(
    ("name", "option"),
    [
        *((name, {option: value}) for name in NETS for option in ("epochs", "batch_size") for value in (0, -1)),
        *((name, {"learning_rate": value}) for name in NETS for value in (0, math.nan)),
        ("two-stage", {"hidden": ()}),
        ("two-stage", {"hidden": (8, 0)}),
        ("flow", {"hidden": ()}),
        ("flow", {"bins": 0}),
        ("flow", {"transforms": 0}),
        ("flow-matching", {"hidden": 0}),
        ("flow-matching", {"blocks": 0}),
        ("flow-matching", {"steps": 0}),
    ],
)
def test_options_that_cannot_be(name, option):
    with pytest.raises(InputError, match=next(iter(option))):
        NETS[name](2, **option)


def test_zuko_is_missing(hide_package):
    hide_package("zuko")
    with pytest.raises(MissingExtraError, match=r"needs the package zuko.*grammar_rae\[flow\]"):
        FlowDensity(2)
