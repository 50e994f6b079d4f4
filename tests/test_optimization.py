"""The search in latent space: its mathematics against oracles, and its runs on a toy model of digits."""

import csv
import json
import math
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from grammar_rae.errors import DataError, InputError, MissingExtraError, TextError, UnknownNameError
from grammar_rae.optimization import STRATEGIES, Optimization, loop, optimize
from grammar_rae.optimization.acquisition import by_expected_improvement, log_expected_improvement, search_box
from grammar_rae.optimization.base import Observations, Question
from grammar_rae.optimization.paper import PaperStrategy
from grammar_rae.optimization.pareto import is_on_front
from grammar_rae.optimization.proposals import Decoder, encode_some
from grammar_rae.optimization.surrogate import Kernel, SparseGP, held_out_quality, log_likelihood
from grammar_rae.optimization.turbo import TurboStrategy, region_size
from grammar_rae.scores import Score


class Digits:
    """Texts of three digits around codes in [-1, 1]^3; codes far away decode to nothing."""

    dimensions = 3
    codec = SimpleNamespace(canonical=lambda text: text if text.isdigit() else None)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        for text in texts:
            if len(text) != self.dimensions:
                raise TextError("not three digits", text=text)
        return np.array([[int(digit) for digit in text] for text in texts], np.float32) / 4.5 - 1

    def decode(self, z: Any, temperature: float = 0.0, constraint: Any = None, seed: int | None = None) -> list[str]:
        z = np.asarray(z)
        if temperature:
            z = z + 0.1 * np.random.default_rng(seed).normal(size=z.shape)
        digits = np.clip(np.rint((z + 1) * 4.5), 0, 9).astype(int)
        return ["".join(map(str, row)) if abs(code).max() < 1.5 else "?" for row, code in zip(digits, z, strict=True)]

    def sample(self, n: int, seed: int = 0, constraint: Any = None) -> Any:
        digits = np.random.default_rng(seed).integers(0, 7, (n, self.dimensions))
        return SimpleNamespace(texts=["".join(map(str, row)) for row in digits])


class Mute(Digits):
    """A decoder that never says anything valid."""

    def decode(self, z: Any, temperature: float = 0.0, constraint: Any = None, seed: int | None = None) -> list[str]:
        return ["?"] * len(z)


class Stuck(Digits):
    """A decoder that always says the same."""

    def decode(self, z: Any, temperature: float = 0.0, constraint: Any = None, seed: int | None = None) -> list[str]:
        return ["999"] * len(z)


def total(text: str) -> float:
    """The sum of the digits."""
    return float(sum(map(int, text)))


def tilt(text: str) -> float:
    """The first digit less the others."""
    return int(text[0]) - 0.7 * int(text[1]) - 0.6 * int(text[2])


FAST: dict[str, dict[str, Any]] = {
    "paper": {"n_raw": 32, "n_starts": 2},
    "turbo": {"n_pool": 100},
    "density": {"n_pool": 60, "steps": 3},
}
SMALL: dict[str, Any] = {"n_initial": 30, "n_iterations": 3, "batch_size": 4}


def run(strategy: str = "turbo", score: Any = total, model: Any = None, data: Any = None, **more: Any) -> Optimization:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(iteration|no point)", UserWarning)
        chosen = {**SMALL, **FAST.get(strategy, {}), **more}
        return optimize(Digits() if model is None else model, score, data, strategy=strategy, **chosen)


def same(one: Optimization, other: Optimization) -> None:
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    pd.testing.assert_frame_equal(one.initial, other.initial, check_exact=True)
    pd.testing.assert_frame_equal(one.decoded, other.decoded)
    np.testing.assert_array_equal(one.latent, other.latent)


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


# --- strategies ------------------------------------------------------------------------------------------------------


def observed(n: int = 40, seed: int = 0) -> Observations:
    codes = np.random.default_rng(seed).uniform(-1, 1, (n, 3))
    return Observations(codes, codes.sum(1, keepdims=True), np.zeros(n, np.int64))


def asked(n: int = 5) -> Question:
    return Question(n, 7, lambda codes: -np.square(codes).sum(1))


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_a_pure_function(name: str) -> None:
    one, other = (STRATEGIES[name](**FAST[name]).pool(observed(), asked()) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert one.shape[1] == 3 and len(one) >= 5
    assert np.isfinite(one).all()
    codes = np.random.default_rng(1).uniform(-1, 1, (30, 3))
    chosen = STRATEGIES[name](**FAST[name]).choose(observed(), asked(), codes)
    assert len(set(chosen)) == len(chosen) == 5


def test_paper_stays_in_the_box_of_the_data() -> None:
    seen = observed()
    points = PaperStrategy(**FAST["paper"]).pool(seen, asked())
    assert ((points >= seen.codes.min(0)) & (points <= seen.codes.max(0))).all()
    assert points.sum(1).max() > seen.values.max()


def test_belief_keeps_the_points_of_a_batch_apart() -> None:
    one = torch.tensor(1.0).double()
    gp = SparseGP(Kernel(0.2 * one[None], one, 1e-3 * one), torch.zeros(1, 1).double())
    gp = gp.condition(np.zeros((2, 1)), np.zeros(2)).believe(torch.zeros(1, 1).double())
    line = torch.linspace(0, 2, 41, dtype=torch.float64)[:, None]
    chosen = line[by_expected_improvement(gp, 0.0, line, 3), 0]
    assert float(torch.pdist(chosen[:, None]).min()) > 0.3 and float(chosen.min()) > 0.3
    dear = by_expected_improvement(gp, 0.0, line, 3, price=100.0 * (line[:, 0] > 1))
    assert float(line[dear].max()) <= 1


def test_density_draws_where_the_density_is() -> None:
    wall = Question(5, 7, lambda codes: np.where(codes[:, 0] > 0, -100.0, 0.0))
    options: dict[str, Any] = {"n_pool": 100, "quantile": 1.0, "greed": 0, "steps": 60}
    inside, anywhere = (STRATEGIES["density"](weight=w, **options).pool(observed(), wall) for w in (1.0, 0.0))
    assert (inside[:, 0] > 0).mean() < 0.1 < 0.2 < (anywhere[:, 0] > 0).mean()


def test_regions_grow_with_success_and_shrink_with_failure() -> None:
    seen = observed(10)
    best = float(seen.values.max())
    more = Observations(
        np.zeros((12, 3)), np.concatenate([seen.values, [[best + 1], [best]]]), np.array([0] * 10 + [1, 2])
    )
    assert region_size(seen, 0.8) == 0.8
    assert region_size(more, 0.8) == pytest.approx(0.8)  # once doubled, once halved
    assert region_size(Observations(more.codes[:11], more.values[:11], more.iterations[:11]), 0.8) == pytest.approx(1.6)


def test_the_local_surrogate_sees_a_few_rows_of_many_and_all_of_the_best() -> None:
    seen = observed(2000)
    rows = TurboStrategy(n_local=100).for_surrogate(seen)
    assert len(set(rows.tolist())) == 100
    assert set(np.argsort(-seen.merit)[:50].tolist()) <= set(rows.tolist())


@pytest.mark.parametrize(
    ("strategy", "option"),
    [("turbo", {"size": 0}), ("density", {"quantile": 1.5}), ("paper", {"n_raw": 0.5}), ("turbo", {"n_regions": True})],
)
def test_options_are_checked(strategy: str, option: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        optimize(Digits(), total, strategy=strategy, **option)


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_run_finds_more_than_the_data_have(name: str) -> None:
    calls: list[str] = []

    def counted(text: str) -> float:
        calls.append(text)
        return total(text)

    result = run(name, Score("counted", counted, True, ""))
    best = result.best(3)
    assert best["counted"].iloc[0] > result.initial_best["counted"][1]
    assert best["counted"].is_monotonic_decreasing and best["text"].is_unique
    assert len(calls) == len(set(calls))  # what is known is not scored again
    assert len(result.history) == len(result.latent) <= 12
    assert result.surrogate["counted"]["n"] > 0
    assert (result.history["counted"] == [total(text) for text in result.history["text"]]).all()
    assert np.all(np.diff(result.curve()) >= 0)
    if name != "paper":
        assert result.history["text"].is_unique and not result.history["known"].any() and result.validity == 1


def test_smaller_may_be_better() -> None:
    score = Score("loss", lambda text: abs(total(text) - 27), False, "")
    result = run(score=score)
    assert result.best(1)["loss"].iloc[0] < result.initial_best["loss"][1]
    assert np.all(np.diff(result.curve()) <= 0)
    assert result.initial_best["loss"][1] == result.initial["loss"].min()
    up = run(score=score, maximize=True)
    assert up.initial_best["loss"][1] == up.initial["loss"].max()


@pytest.mark.parametrize("name", STRATEGIES)
def test_several_scores_give_a_front(name: str) -> None:
    pytest.importorskip("botorch")
    state = torch.get_rng_state()
    result = run(name, [total, tilt], n_iterations=2, batch_size=3)
    assert torch.equal(state, torch.get_rng_state())
    front = result.front()
    assert len(front) and is_on_front(front[["total", "tilt"]].to_numpy()).all()
    both = pd.concat([result.initial, result.history])[["total", "tilt"]].to_numpy()
    assert is_on_front(both)[len(result.initial) :].any()  # the run has moved the front
    assert list(result.best(2, "tilt")["tilt"]) == sorted(result.history["tilt"].unique(), reverse=True)[:2]


def test_several_scores_need_botorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"grammar_rae\[bo\]"):
        run(score=[total, tilt])


def test_the_most_frequent_valid_decoding_wins() -> None:
    class Voter(Digits):
        def decode(self, z: Any, temperature: float = 0.0, constraint: Any = None, seed: Any = None) -> list[str]:
            assert temperature == 1.0 and seed is not None and constraint == "rules"
            return ["?", "?", "?", "123", "123", "456", "?"] * (len(z) // 7)

    (found,) = Decoder(Voter(), 7, "rules")(np.zeros((1, 3)), seed=1)
    assert found.text == "123" and found.valid and found.share == pytest.approx(3 / 7)
    result = run(decodings=5, n_iterations=1)
    assert result.history["valid_share"].between(0.2, 1).all()


def test_one_text_that_is_refused_costs_only_itself() -> None:
    texts = ["123", "12", "456", "", "7890", "789"] * 20
    codes, taken = encode_some(Digits(), texts, rows=16)
    assert taken.tolist() == [len(text) == 3 for text in texts]
    np.testing.assert_array_equal(codes, Digits().encode([text for text in texts if len(text) == 3]))


# --- data ------------------------------------------------------------------------------------------------------------


def test_data_in_all_their_forms() -> None:
    texts = [f"{i:03}" for i in range(0, 200, 7)]
    values = [total(text) for text in texts]
    called: list[str] = []

    def counted(text: str) -> float:
        called.append(text)
        return total(text)

    score = Score("total", counted, True, "")
    one = run(score=score, data=texts, n_iterations=1)
    assert called[: len(texts)] == texts
    called.clear()
    for data in ((texts, values), pd.DataFrame({"smiles": texts, "total": values})):
        other = run(score=score, data=data, n_iterations=1)
        assert not set(called) & set(texts)
        same(one, other)
    same(one, run(score=score, data=pd.Series(texts), n_iterations=1))


def test_a_run_may_begin_where_another_one_began() -> None:
    class Counting(Digits):
        encoded = 0

        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            Counting.encoded += len(texts)
            return super().encode(texts)

    texts = [f"{i:03}" for i in range(0, 1000, 7)]
    called: list[str] = []

    def counted(text: str) -> float:
        called.append(text)
        return total(text)

    score = Score("total", counted, True, "")
    one = run(score=score, data=texts, n_iterations=1, strategy="paper")
    called.clear()
    again = run(model=Counting(), score=score, data=one, n_iterations=1, strategy="paper")
    assert Counting.encoded < len(texts) / 2 and not set(called) & set(texts)
    same(one, again)
    assert np.array_equal(again.initial_codes, Digits().encode(texts))
    other = run(score=Score("tilt", tilt, True, ""), data=one, n_iterations=1, strategy="paper")
    assert other.initial["tilt"].tolist() == [tilt(text) for text in texts]  # another score is asked anew

    class Other(Digits):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            return -super().encode(texts)

    with pytest.raises(DataError, match="another model"):
        run(model=Other(), score=score, data=one)


def test_data_that_cannot_be_used_are_counted() -> None:
    texts = ["111", "222", "333", "111", "x", "12", None, "444"]
    result = run(data=texts, n_iterations=1, batch_size=2)
    assert len(result.initial) == 4
    assert sum(result.left_out.values()) == 4 and len(result.left_out) == 4
    assert result.surrogate == {}  # too few to hold any out


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (["111"], DataError),
        (["x", "y", "z"], DataError),
        ("111", InputError),
        (3, InputError),
        ((["111", "222"], [1.0]), InputError),
        (pd.DataFrame({"words": ["111", "222"]}), InputError),
    ],
)
def test_data_that_are_none(data: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(data=data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_iterations": 0},
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"decodings": 0},
        {"seed": -1},
        {"n_initial": 1},
        {"maximize": [True, False]},
        {"resume": True},
        {"wings": 2},
        {"strategy": "luck"},
        {"score": []},
        {"score": [total, total]},
        {"score": "no such score"},
        {"score": Score("text", total, True, "")},
        {"jobs": 0},
    ],
)
def test_settings_that_cannot_be_used(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        run(**wrong)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(UnknownNameError, match="n_pool"):
        run(n_pol=3)


# --- what goes wrong in a run ----------------------------------------------------------------------------------------


def _raises(text: str) -> float:
    if int(text[2]) % 2:
        raise RuntimeError("odd")
    return total(text)


@pytest.mark.parametrize(
    "function",
    [
        _raises,
        lambda text: math.nan if int(text[2]) % 2 else total(text),
        lambda text: np.zeros(3) if int(text[2]) % 2 else np.array([total(text)]),
        lambda text: "many" if int(text[2]) % 2 else total(text),
    ],
)
@pytest.mark.parametrize("strategy", ["turbo", "paper"])
def test_a_score_that_fails_is_counted(strategy: str, function: Callable[[str], Any]) -> None:
    result = run(strategy, Score("total", function, True, ""), n_iterations=2)
    odd = result.history["text"].str[2].isin(list("13579"))
    assert (result.history["total"].isna() == (odd | ~result.history["valid"])).all()
    assert ((result.history["reason"] != "") == result.history["total"].isna()).all()
    assert sum(result.failures.values()) == int(result.history["total"].isna().sum())


def test_a_score_that_always_fails_is_told() -> None:
    with pytest.raises(InputError, match="out of order"):

        def broken(text: str) -> float:
            raise ValueError("out of order")

        run(score=broken)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("model", [Mute, Stuck])
def test_a_decoder_that_is_of_no_use_ends_the_run_all_the_same(name: str, model: type[Digits]) -> None:
    with pytest.warns(UserWarning) if model is Mute or name != "paper" else warnings.catch_warnings():
        result = optimize(model(), total, strategy=name, n_initial=20, n_iterations=2, batch_size=3, **FAST[name])
    assert len(result.history) == (6 if name == "paper" else 0 if model is Mute else 1)
    assert result.decoded["decoded"].sum() > 0
    if name == "paper" and model is Mute:
        assert result.failures == {"not valid": 6} and result.validity == 0
    repr(result), result.best(5), result.front()


# --- on the disk -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_run_that_was_killed_anywhere_ends_as_if_it_was_not(tmp_path: Path, name: str) -> None:
    whole = run(name, folder=tmp_path / "whole")
    same(whole, run(name))
    calls = 0

    def fatal(text: str) -> float:
        nonlocal calls
        calls += 1
        if calls in (17, 31, 33, 36):
            raise KeyboardInterrupt
        return total(text)

    folder, score, kills = tmp_path / "killed", Score("total", fatal, True, ""), 0
    while True:
        try:
            resumed = run(name, score, folder=folder, resume=kills > 0)
            break
        except KeyboardInterrupt:
            kills += 1
    assert kills >= (1 if name == "paper" else 2)  # the paper's few points are mostly known texts here
    same(whole, resumed)
    assert calls == len(set(whole.initial["text"]) | set(whole.history["text"][whole.history["valid"]])) + kills
    for file in ("history.csv", "initial.csv", "initial.json"):
        assert (folder / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    same(whole, run(name, folder=folder, resume=True))


def test_a_line_that_was_cut_off_is_evaluated_again(tmp_path: Path) -> None:
    whole = run(folder=tmp_path / "run")
    history = tmp_path / "run" / "history.csv"
    blob = history.read_bytes()
    lines = blob.splitlines(keepends=True)
    for cut in (len(blob) - 1, len(blob) - len(lines[-1]) + 3, sum(map(len, lines[:4])) + 5, 7, 0):
        history.write_bytes(blob[:cut])
        same(whole, run(folder=tmp_path / "run", resume=True))
        assert history.read_bytes() == blob


def test_the_history_is_a_table_of_its_own(tmp_path: Path) -> None:
    result = run(folder=tmp_path, n_iterations=2)
    frame = pd.read_csv(tmp_path / "history.csv", dtype={"text": str})
    assert frame["text"].tolist() == result.history["text"].tolist()
    assert frame["total"].tolist() == result.history["total"].tolist()
    assert json.loads((tmp_path / "settings.json").read_text())["strategy"] == "turbo"
    with (tmp_path / "initial.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == len(result.initial) + 1


def test_a_budget_may_be_raised(tmp_path: Path) -> None:
    run(folder=tmp_path, n_iterations=1)
    same(run(n_iterations=3), run(folder=tmp_path, n_iterations=3, resume=True))


def test_data_that_were_read_need_not_be_given_again(tmp_path: Path) -> None:
    texts = [f"{i:03}" for i in range(0, 200, 7)]
    first = run(data=texts, folder=tmp_path)
    same(first, run(folder=tmp_path, resume=True))
    same(first, run(data=texts, folder=tmp_path, resume=True))
    with pytest.raises(DataError, match="another optimisation"):
        run(data=texts[1:], folder=tmp_path, resume=True)


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"batch_size": 5}, {"strategy": "paper"}, {"n_pool": 99}, {"score": tilt}, {"data": ["111", "222"]}],
)
def test_a_folder_of_another_run_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    run(folder=tmp_path, n_iterations=1)
    with pytest.raises(DataError, match="another optimisation"):
        run(folder=tmp_path, resume=True, **other)
    with pytest.raises(DataError, match="already"):
        run(folder=tmp_path)


def test_another_model_is_refused(tmp_path: Path) -> None:
    class Other(Digits):
        def encode(self, texts: list[str]) -> NDArray[np.float32]:
            return -super().encode(texts)

    run(folder=tmp_path, n_iterations=1)
    with pytest.raises(DataError, match="another model"):
        run(folder=tmp_path, model=Other(), resume=True)


@pytest.mark.parametrize(
    "name", ["settings.json", "initial.json", "initial.npy", "initial.csv", "history.csv", "iteration-0001.safetensors"]
)
def test_damage_is_told(tmp_path: Path, name: str) -> None:
    run(folder=tmp_path, n_iterations=1)
    (tmp_path / name).write_bytes(b"\x00,\n,,\n1,2\n")
    with pytest.raises(DataError):
        run(folder=tmp_path, resume=True)


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no optimisation to resume"):
        run(folder=tmp_path, resume=True)


# --- a real model ----------------------------------------------------------------------------------------------------


def test_a_real_model(tmp_path: Path) -> None:
    from grammar_rae.datasets import sample_texts
    from grammar_rae.model import GenerativeModel
    from grammar_rae.report.optimization import write_optimization_report
    from grammar_rae.resources import bundled

    texts = sample_texts(bundled("data/moses_sample.smi.gz"), 120, 0)
    model = GenerativeModel("tiny", epochs=1).fit(texts, jobs=1)
    options: dict[str, Any] = {"n_iterations": 2, "batch_size": 4, "constraint": "chemistry", **FAST["density"]}
    result = optimize(model, "penalized_logp", texts, strategy="density", folder=tmp_path / "run", **options)
    assert len(result.history) == 8 and result.validity == 1 and result.history["penalized_logp"].notna().all()
    # Standardised over these texts: three terms of mean 0.
    assert result.initial["penalized_logp"].mean() == pytest.approx(0, abs=1e-6)
    assert model.score_constants_["penalized_logp"] == result.settings["constants"]["penalized_logp"]
    shutil.rmtree(tmp_path / "run")
    write_optimization_report(tmp_path / "page.html", result, n=4)
    page = (tmp_path / "page.html").read_text()
    assert page.count("<figure>") == 4 and "density" in page and "best penalized logp" in page
