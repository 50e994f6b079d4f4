"""grammar_rae.scores: the table, what else a user may call a score, and evaluation that survives any function."""

import importlib.util
import math
import os
import pickle
import re
import threading
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from derivations import molecules
from hypothesis import given
from hypothesis import strategies as st
from rdkit import RDConfig
from rdkit.Chem import Crippen, GetSymmSSSR, MolFromSmiles

from grammar_rae import chem
from grammar_rae.errors import InputError, TextError, UnknownNameError, WorkerError
from grammar_rae.scores import SCORES, TARGET, ZINC250K, Score, StandardizedSum, evaluate, get_score, score
from grammar_rae.scores.evaluation import to_number

TEXTS = ["CCO", "not a molecule", "c1ccccc1", ""]
MOLECULAR = [name for name in SCORES if name != "expression_error"]
WORST = math.log(1001)


@pytest.mark.parametrize("name", SCORES)
def test_every_row_of_the_table_is_whole(name: str) -> None:
    row = SCORES[name]
    assert row.name == name
    assert row.description
    assert isinstance(row.higher_is_better, bool)
    assert isinstance(row.function("CCO"), float)
    assert pickle.loads(pickle.dumps(row)).function("CCO") == row.function("CCO")


@pytest.mark.parametrize("name", MOLECULAR)
def test_a_column_agrees_with_the_function_and_has_nan_for_the_rest(name: str) -> None:
    column = score(TEXTS, [name])[name]
    assert column.dtype == np.float64
    assert column.shape == (4,)
    assert np.isnan(column).tolist() == [False, True, False, True]
    assert column[0] == SCORES[name].function("CCO")


def test_columns_come_in_the_order_asked_for() -> None:
    table = score(iter(["c1ccccc1"]), iter(["rings", "heavy_atoms", "weight", "logp", "qed", "sa"]))
    assert list(table) == ["rings", "heavy_atoms", "weight", "logp", "qed", "sa"]
    assert (table["rings"][0], table["heavy_atoms"][0]) == (1, 6)
    assert table["logp"][0] == chem.logp("c1ccccc1")
    assert score([], ["qed"])["qed"].shape == (0,)
    assert score(["C"], []) == {}


def test_unknown_score_tells_the_nearest_and_where_all_are() -> None:
    with pytest.raises(UnknownNameError, match=r"'logP'.*mean 'logp'.*`grammar-rae list scores`"):
        score(["C"], ["qed", "logP"])


def test_a_single_text_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(InputError, match="names must be a list"):
        score(["C"], "qed")
    with pytest.raises(InputError, match="texts must be a list"):
        score("CCO", ["qed"])


def test_a_new_score_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORES, "length", Score("length", len, False, "characters"))
    assert score(["", "ab"], ["length"])["length"].tolist() == [0, 2]


def test_an_error_that_is_not_about_the_text_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> float:
        raise ZeroDivisionError

    monkeypatch.setitem(SCORES, "broken", Score("broken", broken, True, "always fails"))
    with pytest.raises(ZeroDivisionError):
        score(["C"], ["broken"])


# ---- penalised logP


@cache
def sa_script():
    spec = importlib.util.spec_from_file_location("sa_of_the_test", Path(RDConfig.RDContribDir, "SA_Score/sascorer.py"))
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def penalized_logp(text, constants=ZINC250K):
    """The same by RDKit alone, with the script of the synthetic accessibility loaded by hand."""
    molecule = MolFromSmiles(text)
    longest = max((len(ring) for ring in GetSymmSSSR(molecule)), default=0)
    terms = {
        "logp": Crippen.MolLogP(molecule),
        "sa": -sa_script().calculateScore(molecule),
        "ring": min(6 - longest, 0),
    }
    return sum((terms[name] - constants[f"{name}_mean"]) / constants[f"{name}_std"] for name in terms)


@pytest.mark.parametrize(
    "text", ["CCO", "c1ccccc1", "C1CCCCCCC1", "CC(=O)Nc1ccc(O)cc1", "C1CC2CCC1CCCC2", "[Na+].[Cl-]"]
)
def test_penalized_logp_is_the_sum_of_three_z_scores(text):
    assert SCORES["penalized_logp"].function(text) == pytest.approx(penalized_logp(text), abs=1e-12)


def test_fitted_constants_make_each_term_a_z_score():
    texts = [*molecules(60), "no molecule", "C1CCCCCCCC1"]
    fitted, found = SCORES["penalized_logp"].fit_constants(texts)
    assert fitted.standardizes
    assert [i for i, _ in found.failures] == [60]
    assert np.isnan(found.values).nonzero()[0].tolist() == [60]
    assert np.nanmean(found.values) == pytest.approx(0, abs=1e-12)
    assert set(fitted.constants) == set(ZINC250K)
    terms = [fitted.function.terms(text) for text in texts if text != "no molecule"]
    for name in ("logp", "sa", "ring"):
        z = (np.array([row[name] for row in terms]) - fitted.constants[f"{name}_mean"]) / fitted.constants[
            f"{name}_std"
        ]
        assert (z.mean(), z.std()) == (pytest.approx(0, abs=1e-10), pytest.approx(1))
    for i in (0, 61):
        assert found.values[i] == pytest.approx(penalized_logp(texts[i], fitted.constants), abs=1e-12)
    again = evaluate(fitted, texts)
    np.testing.assert_array_equal(again.values, found.values)
    assert again.failures == found.failures
    assert SCORES["penalized_logp"].constants == ZINC250K  # the table is as it was


def test_a_term_that_never_differs_is_counted_in_its_own_unit():
    fitted, found = SCORES["penalized_logp"].fit_constants(["CCO", "CCCCN", "c1ccccc1"])
    assert (fitted.constants["ring_mean"], fitted.constants["ring_std"]) == (0, 1)
    assert np.isfinite(found.values).all()
    alone, found = SCORES["penalized_logp"].fit_constants(["CCO"])
    assert found.values.tolist() == [0]
    assert alone.constants["logp_std"] == alone.constants["sa_std"] == 1
    # Three times 0.1 has a standard deviation of 1e-17 by rounding; and some spreads are too small for a square.
    for values in ([0.1] * 3, [0.0, 1e-200]):
        tiny = Score("tiny", StandardizedSum(lambda text: {"a": float(text)}, {"a_mean": 0, "a_std": 1}), True, "")
        assert tiny.fit_constants(map(str, values))[0].constants["a_std"] == 1


def test_the_others_are_fitted_by_being_evaluated():
    fitted, found = SCORES["logp"].fit_constants(TEXTS)
    assert fitted is SCORES["logp"]
    assert not fitted.standardizes
    assert fitted.constants == {}
    np.testing.assert_array_equal(found.values, score(TEXTS, ["logp"])["logp"])


def test_a_fit_without_any_value_is_refused():
    with pytest.raises(InputError, match=r"penalized_logp.*no text has it \(RDKit cannot read"):
        SCORES["penalized_logp"].fit_constants(["nothing", "at_all"])
    with pytest.raises(InputError, match="there is no text"):
        SCORES["penalized_logp"].fit_constants([])


# ---- errors of expressions


def test_the_error_of_an_expression_is_the_published_formula():
    error = SCORES["expression_error"].function
    x = np.linspace(-10, 10, 1000)
    y = 1 / 3 + x + np.sin(x * x)
    assert error(TARGET) == error("1/3+(x)+sin(x*x)") == 0
    for text, values in {"x": x, "1+2*x": 1 + 2 * x, "3*x+exp(x)": 3 * x + np.exp(x), "1": np.ones(1000)}.items():
        assert error(text) == pytest.approx(math.log(1 + np.mean(np.minimum((values - y) ** 2, 1000))), rel=1e-12)
    assert error("x/1+sin(3)+sin(x*x)") == pytest.approx(math.log(1 + (math.sin(3) - 1 / 3) ** 2))
    assert error("1/2+x+sin(x*x)") == pytest.approx(math.log(1 + 1 / 36))


@pytest.mark.parametrize("text", ["sin(exp(exp(x)))", "0/(x-x)", "exp(exp(x*x))/exp(exp(x*x))", "CCO", "", "1/(x-x)"])
def test_the_worst_error_is_that_of_what_has_no_values(text):
    assert SCORES["expression_error"].function(text) == pytest.approx(WORST, rel=1e-15)


def test_an_infinite_value_is_the_worst_at_its_point_only():
    assert 0 < SCORES["expression_error"].function("x+1/(exp(exp(x*x))*0)") <= WORST
    overflows = SCORES["expression_error"].function("exp(exp(x))")
    assert WORST * 0.8 < overflows < WORST - 0.1


@given(st.text("x123+*/()sinexp", max_size=15))
def test_the_error_is_a_number_whatever_the_text(text):
    assert 0 <= SCORES["expression_error"].function(text) <= WORST * (1 + 1e-12)


# ---- what is a score


def test_a_name_gives_the_row_and_a_score_itself() -> None:
    assert get_score("qed") is SCORES["qed"]
    row = Score("length", len, False, "characters")
    assert get_score(row) is row


def test_a_parameter_makes_a_score_of_its_own() -> None:
    other = get_score("expression_error=x*x+1")
    assert (other.name, other.higher_is_better) == ("expression_error=x*x+1", False)
    assert other.function("1+x*x") == 0
    assert other.function(TARGET) > 1
    assert pickle.loads(pickle.dumps(other)).function("x") == other.function("x")
    assert list(score(["x"], ["expression_error=x", "expression_error"])) == ["expression_error=x", "expression_error"]


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        ("qed=3", InputError, "'qed' has no parameter"),
        ("expression_errors=x", UnknownNameError, "mean 'expression_error'"),
        ("expression_error=", TextError, "empty"),
        ("expression_error=y", TextError, "'y'"),
        ("expression_error=exp(exp(x))", InputError, "must be finite"),
        (3, InputError, r"not a score.*3, a int"),
        (None, InputError, "not a score"),
    ],
)
def test_what_is_no_score_is_refused(what: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        get_score(what)  # type: ignore[arg-type]


def test_a_function_gives_a_score_of_its_name() -> None:
    def affinity(text: str) -> float:
        """Binds well.

        More about it.
        """
        return len(text)

    class Model:
        def __call__(self, text: str) -> float:
            return 2.0

    found = get_score(affinity)
    assert (found.name, found.higher_is_better, found.description) == ("affinity", True, "Binds well.")
    assert found.function("abc") == 3
    assert get_score(Model()).name == "Model"
    assert get_score(partial(affinity)).name == "affinity"
    assert get_score(lambda text: 1.0).description


def test_constants_of_a_model_are_used_where_the_score_is_among_them() -> None:
    constants = {**ZINC250K, "logp_mean": 0.0, "logp_std": 1.0}
    mine = get_score("penalized_logp", {"penalized_logp": constants, "other": {"a": 1.0}})
    assert mine.constants == constants
    assert mine.function("CCO") == pytest.approx(penalized_logp("CCO", constants))
    assert get_score("penalized_logp", {}) is SCORES["penalized_logp"]
    assert get_score("qed", {"qed": {"mean": 1.0}}) is SCORES["qed"]


@pytest.mark.parametrize(
    "change", [{"logp_std": 0.0}, {"logp_std": -1.0}, {"sa_mean": math.nan}, {"other": 1.0}, {"sa_mean": "3"}]
)
def test_constants_that_do_not_fit_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"not the constants of this score.*logp_mean, logp_std"):
        get_score("penalized_logp", {"penalized_logp": {**ZINC250K, **change}})
    with pytest.raises(InputError, match="not the constants"):
        SCORES["penalized_logp"].with_constants({})
    with pytest.raises(InputError, match="'qed' has no constants"):
        SCORES["qed"].with_constants({"logp_mean": 1.0})


# ---- evaluation


def raising(error):
    def function(text):
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (raising(ValueError("too\n  heavy")), "ValueError: too heavy"),
        (raising(KeyError()), "KeyError"),
        (raising(RecursionError("deep")), "RecursionError: deep"),
        (raising(MemoryError()), "MemoryError"),
        (raising(TextError("no ring", text="C")), "no ring"),
        (raising(RuntimeError("x" * 1000)), "RuntimeError: xxx"),
        (lambda text: None, "gave None"),
        (lambda text: math.nan, "not a number"),
        (lambda text: np.float32("nan"), "not a number"),
        (lambda text: torch.tensor([math.nan]), "not a number"),
        (lambda text: -math.inf, "infinite"),
        (lambda text: np.ones((1, 1)), r"shape \(1, 1\)"),
        (lambda text: np.ones(2), r"shape \(2,\)"),
        (lambda text: [], r"shape \(0,\)"),
        (lambda text: [[1], [2, 3]], "ValueError"),
        (lambda text: "3.5", "gave '3.5'"),
        (lambda text: b"3", "gave b'3'"),
        (lambda text: ["3"], "gave '3'"),
        (lambda text: np.array("3"), "gave .*'3'"),
        (lambda text: 1j, "gave 1j"),
        (lambda text: np.complex64(1), "gave .*1"),
        (lambda text: {"score": 1}, "TypeError"),
        (lambda text: 10**400, "OverflowError"),
        (lambda text, other: 1.0, "TypeError"),
    ],
)
def test_whatever_a_function_does_is_a_failure_of_that_text_with_its_reason(function, reason):
    def second(text):
        return function(text) if text == "b" else 7

    found = evaluate(second, ["a", "b", "c"])
    assert found.values.dtype == np.float64
    np.testing.assert_array_equal(found.values, [7, np.nan, 7])
    [(index, text)] = found.failures
    assert index == 1
    assert text == text.strip()
    assert "\n" not in text
    assert len(text) <= 250
    assert re.search(reason, text)


@pytest.mark.parametrize(
    "value",
    [
        2,
        2.0,
        np.int8(2),
        np.float32(2),
        np.array(2),
        np.array([2]),
        [2.0],
        (2,),
        Fraction(2),
        Decimal(2),
        torch.tensor(2),
    ],
)
def test_numbers_of_every_kind_are_numbers(value):
    found = evaluate(lambda text: value, ["a"])
    assert found.values.tolist() == [2]
    assert found.failures == []
    assert evaluate(lambda text: True, ["a"]).values.tolist() == [1]


def test_what_is_no_text_is_a_failure_and_the_function_is_not_asked():
    asked = []
    found = evaluate(lambda text: asked.append(text) or 1, [None, "C", np.str_("N"), 3, math.nan])
    assert asked == ["C", "N"]
    assert found.failures == [(i, f"a text was expected, not {what}") for i, what in ((0, None), (3, 3), (4, math.nan))]


def test_a_row_of_the_table_is_evaluated_like_its_column():
    found = evaluate("logp", TEXTS)
    np.testing.assert_array_equal(found.values, score(TEXTS, ["logp"])["logp"])
    assert [i for i, _ in found.failures] == [1, 3]
    assert found.failures[0][1] == "a SMILES cannot contain blanks"
    assert found.failures[1][1] == "the SMILES is empty"
    assert evaluate("logp", []).values.shape == (0,)


def test_an_interruption_is_not_caught():
    with pytest.raises(KeyboardInterrupt):
        evaluate(raising(KeyboardInterrupt()), ["C"])


def test_arguments_of_evaluation_are_checked():
    for jobs in (0, -2):
        with pytest.raises(InputError, match=f"jobs {jobs}"):
            evaluate("qed", ["C"], jobs=jobs)
    with pytest.raises(InputError, match="texts must be a list"):
        evaluate("qed", "CCO")
    with pytest.raises(UnknownNameError):
        evaluate("dqe", ["C"])


def test_progress_is_shown_when_asked_for(capsys):
    assert evaluate(len, ["a", "bb"], progress=True).values.tolist() == [1, 2]
    assert "2/2" in capsys.readouterr().err
    evaluate(len, ["a", "bb"])
    assert capsys.readouterr().err == ""


def test_processes_change_nothing_and_take_lambdas():
    offset = 0.5
    one = lambda text: offset / (len(text) - 2)  # noqa: E731
    texts = ["a", "bb", "ccc", None, *["dddd"] * 30]
    alone, together = evaluate(one, texts), evaluate(one, texts, jobs=2)
    np.testing.assert_array_equal(alone.values, together.values)
    assert alone.failures == together.failures == [(1, "ZeroDivisionError: float division by zero"), alone.failures[1]]
    fitted, found = SCORES["penalized_logp"].fit_constants(["CCO", "x", "CCN"], jobs=2)
    assert found.failures[0][0] == 1
    assert fitted.constants == SCORES["penalized_logp"].fit_constants(["CCO", "x", "CCN"])[0].constants
    lock = threading.Lock()
    with pytest.raises(InputError, match=r"cannot be sent to another process.*jobs=1"):
        evaluate(lambda text: lock.locked(), texts, jobs=2)
    with pytest.raises(WorkerError, match=r"a process ended.*jobs=1"):
        evaluate(lambda text: os._exit(3), texts, jobs=2)


@pytest.mark.parametrize(
    ("text", "size"), [("CCO", 0), ("C1CC1", 3), ("C1CC2CCC1CCCC2", 8), ("C1CCC2CCCC2C1", 6), ("c1ccc2ccccc2c1", 6)]
)
def test_the_largest_ring_is_the_largest_of_the_smallest(text, size):
    assert SCORES["largest_ring"].function(text) == size


def _leaves(text: str) -> float:
    if len(text) > 1:
        raise SystemExit(3)
    return 1.0


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_score_that_ends_its_process_has_failed(jobs: int) -> None:
    found = evaluate(_leaves, ["C", "CC"], jobs=jobs)
    assert found.values[0] == 1 and found.failures == [(1, "SystemExit: 3")]


@pytest.mark.parametrize("value", [1e155, -1e155, 1.1e100])
def test_scores_too_large_to_compare_are_failures(value):
    with pytest.raises(Exception, match="too large to compare"):
        to_number(value)
    assert to_number(1e100) == 1e100
