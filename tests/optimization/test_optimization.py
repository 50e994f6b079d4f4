"""The search in latent space: its strategies, and its runs on a toy model of digits."""

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
from optimization.digits import FAST, Digits, Mute, Stuck, run, same, tilt, total

from grammar_rae.errors import DataError, InputError, MissingExtraError, UnknownNameError
from grammar_rae.optimization import STRATEGIES, loop, optimize
from grammar_rae.optimization.acquisition import choose_by_expected_improvement
from grammar_rae.optimization.base import Observations, Question
from grammar_rae.optimization.paper import PaperStrategy
from grammar_rae.optimization.pareto import is_on_front
from grammar_rae.optimization.proposals import Decoder
from grammar_rae.optimization.surrogate import Kernel, SparseGP
from grammar_rae.optimization.turbo import TurboStrategy, region_size
from grammar_rae.scores import SCORES, Score, StandardizedSum

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
    chosen = line[choose_by_expected_improvement(gp, 0.0, line, 3), 0]
    assert float(torch.pdist(chosen[:, None]).min()) > 0.3 and float(chosen.min()) > 0.3
    dear = choose_by_expected_improvement(gp, 0.0, line, 3, price=100.0 * (line[:, 0] > 1))
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
    rows = TurboStrategy(n_local=100).surrogate_rows(seen)
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


@pytest.mark.parametrize(
    ("form", "decodings", "strategy"),
    [("kekule", 1, "analogues"), ("kekule", 5, "turbo"), ("expression", 1, "turbo"), (None, 1, "turbo")],
)
def test_the_strategy_of_whoever_names_none(form: str | None, decodings: int, strategy: str) -> None:
    codec = SimpleNamespace(form=form) if form else None
    assert loop.choose_strategy(Decoder(SimpleNamespace(codec=codec), decodings)) == strategy


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
    accepted = [len(text) == 3 for text in texts]
    codes, rows = Decoder(Digits()).encode(texts)
    assert rows.tolist() == np.flatnonzero(accepted).tolist()
    np.testing.assert_array_equal(codes, Digits().encode([text for text in texts if len(text) == 3]))
    fallback = np.random.default_rng(0).normal(size=(len(texts), 3)).astype(np.float32)
    found = Decoder(Digits()).encode_or(texts, fallback)
    np.testing.assert_array_equal(found, np.where(np.array(accepted)[:, None], found, fallback))
    np.testing.assert_array_equal(found[rows], codes)
    np.testing.assert_array_equal(Decoder(Digits()).encode_or(["", "12"], fallback[:2]), fallback[:2])


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
    tables = (
        pd.DataFrame({"smiles": texts, "total": values}),
        pd.DataFrame({"total": values, "more": values, "Text": texts}),
        pd.DataFrame({"words": texts, "total": values}),  # the only column that is not a score's
    )
    for data in ((texts, values), *tables):
        other = run(score=score, data=data, n_iterations=1)
        assert not set(called) & set(texts)
        same(one, other)
    same(one, run(score=score, data=pd.Series(texts), n_iterations=1))


def test_a_run_may_begin_where_another_one_began() -> None:
    class Counting(Digits):
        encoded = 0

        def encode(self, texts: list[str], errors: str = "raise") -> Any:
            Counting.encoded += len(texts)
            return super().encode(texts, errors)

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
        def encode(self, texts: list[str], errors: str = "raise") -> Any:
            found = super().encode(texts, errors)
            found.codes *= -1
            return found

    with pytest.raises(DataError, match="another model"):
        run(model=Other(), score=score, data=one)


def test_data_that_cannot_be_used_are_counted() -> None:
    texts = ["111", "222", "333", "111", "x", "12", None, "444"]
    result = run(data=texts, n_iterations=1, batch_size=2)
    assert len(result.initial) == 4
    assert sum(result.left_out.values()) == 4 and len(result.left_out) == 4
    assert result.surrogate == {}  # too few to hold any out


def test_data_without_a_value_are_counted_among_those_left_out() -> None:
    texts = [f"{i:03}" for i in range(0, 200, 7)]
    values = [math.nan if text[2] == "1" else total(text) for text in texts]
    given = run(data=(texts, values), n_iterations=1)
    missing = sum(text[2] == "1" for text in texts)
    assert given.left_out == {"its value is missing": missing} and len(given.initial) == len(texts)
    asked = run(score=Score("total", _raises, True, ""), data=[*texts, "x"], n_iterations=1)
    assert asked.left_out == {"not valid": 1, "RuntimeError: odd": sum(int(text[2]) % 2 for text in texts)}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (["111"], DataError),
        ((["111", "222"], [1.0, "many"]), InputError),
        (pd.DataFrame({"text": ["111", "222"], "total": ["1", "many"]}), InputError),
        (["x", "y", "z"], DataError),
        ("111", InputError),
        (3, InputError),
        ((["111", "222"], [1.0]), InputError),
        (pd.DataFrame({"words": ["111", "222"], "others": ["333", "444"]}), DataError),
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
        {"maximize": 1},
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


def test_the_name_of_a_model_is_no_model() -> None:
    with pytest.raises(InputError, match="Load it"):
        run(model="molecules")


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
    def broken(text: str) -> float:
        if text != "111":
            raise ValueError("out of order")
        return 1.0

    for texts in (["222", "333"], ["111", "222", "333"]):
        with pytest.raises(InputError, match="out of order"):
            run(score=broken, data=texts)


def test_constants_are_those_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Keeping(Digits):
        score_constants_: dict[str, dict[str, float]]

    calls: list[str] = []

    def terms(text: str) -> dict[str, float]:
        calls.append(text)
        if len(calls) == 65:  # in the midst of the first iteration
            raise KeyboardInterrupt
        return {"sum": total(text)}

    published = {"sum_mean": 3.0, "sum_std": 2.0}
    row = Score("zed", StandardizedSum(terms, published), True, "")
    monkeypatch.setitem(SCORES, "zed", row)
    texts = [f"{i:03}" for i in range(0, 180, 3)]
    model, again = Keeping(), Keeping()
    model.score_constants_, again.score_constants_ = {}, {}
    with pytest.raises(KeyboardInterrupt):
        run(score="zed", data=texts, model=model, folder=tmp_path)
    resumed = run(score="zed", model=again, folder=tmp_path, resume=True)
    fitted = resumed.settings["constants"]["zed"]
    assert fitted != published and resumed.constants == {"zed": fitted}
    assert model.score_constants_ == again.score_constants_ == {}  # a search changes no model: its caller may
    assert resumed.initial["zed"].mean() == pytest.approx(0)
    same(whole := run(score="zed", data=texts), resumed)
    assert whole.constants == resumed.constants
    model.score_constants_ = {"zed": {"sum_mean": 1.0, "sum_std": 2.0}}
    assert run(score="zed", data=texts, model=model).constants == model.score_constants_
    assert run(score=row, data=texts, model=model).constants == {}
    assert run(score="zed", data=(texts, list(map(total, texts)))).constants == {}
    # By a score that was given itself, by values that were, or by those of another run, nothing is fitted.
    assert run(score=row, data=texts, model=model).settings["constants"]["zed"] == published
    assert run(score="zed", data=(texts, list(map(total, texts)))).settings["constants"]["zed"] == published
    before = len(calls)
    other = run(score="zed", data=resumed)
    assert other.settings["constants"]["zed"] == fitted and not set(calls[before:]) & set(texts)
    assert run(score=row, data=resumed).initial["zed"][0] == row.function(texts[0])


# Analogues and its kin end only with the model's plain draws, which these toys have plenty of.
@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in ("analogues", "scaffolds", "adapt")])
@pytest.mark.parametrize("model", [Mute, Stuck])
def test_a_decoder_that_is_of_no_use_ends_the_run_all_the_same(name: str, model: type[Digits]) -> None:
    with pytest.warns(UserWarning) if model is Mute or name != "paper" else warnings.catch_warnings():
        result = optimize(model(), total, strategy=name, n_initial=20, n_iterations=2, batch_size=3, **FAST[name])
    assert len(result.history) == (6 if name == "paper" else 0 if model is Mute else 1)
    assert result.decoded["decoded"].sum() > 0
    if name == "paper" and model is Mute:
        assert result.failures == {"not valid": 6} and result.validity == 0
    assert len(result.best(5)) == len(result.front()) == (0 if model is Mute else 1)
    assert "points" in repr(result)
    with pytest.raises(UnknownNameError, match="total"):
        result.curve("beauty")


# --- a real model ----------------------------------------------------------------------------------------------------


def test_a_real_model(tmp_path: Path) -> None:
    from grammar_rae.datasets import sample_texts
    from grammar_rae.model import TextModel
    from grammar_rae.report.optimization import write_optimization_report
    from grammar_rae.resources import bundled_file

    texts = sample_texts(bundled_file("data/moses_sample.smi.gz"), 120, 0)
    model = TextModel("tiny", epochs=1).fit(texts, jobs=1)
    options: dict[str, Any] = {"n_iterations": 2, "batch_size": 4, "constraint": "chemistry", **FAST["density"]}
    result = optimize(model, "penalized_logp", texts, strategy="density", folder=tmp_path / "run", **options)
    assert len(result.history) == 8 and result.validity == 1 and result.history["penalized_logp"].notna().all()
    # Standardised over these texts: three terms of mean 0.
    assert result.initial["penalized_logp"].mean() == pytest.approx(0, abs=1e-6)
    assert result.constants == result.settings["constants"] and model.score_constants_ == {}
    model.store_score_constants(result.constants)
    assert model.score_constants_ == result.constants
    shutil.rmtree(tmp_path / "run")
    write_optimization_report(tmp_path / "page.html", result, n=4, command="grammar-rae optimize --score x")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<figure>") == 4 and "density" in page and page.count("best so far") == 1
    assert "<code>grammar-rae optimize --score x</code>" in page
    write_optimization_report(tmp_path / "page.html", run(model=Mute(), data=["111", "222"]), kind="text")
    page = (tmp_path / "page.html").read_text()
    assert "There is nothing to show" in page and "nan" not in page
