"""Components: similarity, substructures, other programs that misbehave, and predictors from files."""

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grammar_rae.chem import folded_counts, measure
from grammar_rae.errors import DataError, InputError, TextError
from grammar_rae.scores import evaluate
from grammar_rae.scores.components import Similarity, Smarts, named, names
from grammar_rae.scores.evaluation import evaluate_rows
from grammar_rae.scores.predictors import Predictor
from grammar_rae.scores.programs import Program

TEXTS = ["CCO", "c1ccccc1O", "CC(=O)Nc1ccccc1", "CCN"]


def test_similarity_is_that_to_each() -> None:
    each = [measure("CCCO", [("ECFP4", text)])[0] for text in TEXTS]
    assert Similarity(TEXTS)("CCCO") == pytest.approx(max(each))
    assert Similarity(TEXTS, take="mean")("CCCO") == pytest.approx(np.mean(each))
    assert Similarity(["CCCO"], fingerprint="AP")("CCCO") == 1


def test_smarts_are_counted() -> None:
    assert [Smarts("[OX2H]")(text) for text in ("OCCO", "CCO", "CC")] == [2, 1, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Similarity("CCO"),
        lambda: Similarity([]),
        lambda: Similarity(["nonsense"]),
        lambda: Similarity(TEXTS, take="worst"),
        lambda: Similarity(TEXTS, fingerprint="ECFP5"),
        lambda: Smarts("["),
        lambda: Program("dock"),
        lambda: Program([]),
        lambda: Program(["there-is-no-such-program"]),
        lambda: Program([sys.executable], time_limit=0),
    ],
)
def test_wrong_parameters_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError):
        wrong()


def test_names_have_functions() -> None:
    for name in ("qed", "tpsa", "alerts", "pains", "pmo:qed", "expression_error=1/3+x"):
        assert callable(named(name))
    assert named("affinity") is None and {"similarity", "qed", "tpsa", "alerts"} <= set(names())
    with pytest.raises(InputError, match="depends on data"):
        named("penalized_logp")


# --- programs --------------------------------------------------------------------------------------------------------

READ = "import sys, json, time\ntexts = sys.stdin.read().split()\n"
SAY = "print(json.dumps({'smiles': text, 'value': len(text)}), flush=True)\n"


def program(code: str, **more: Any) -> Program:
    return Program([sys.executable, "-c", code], **more)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (f"{READ}for text in reversed(texts): {SAY}", [3, 9, 15, 3]),
        (
            f"{READ}print('loading'); print('{{'); print('[1]'); print('\"CCO\"')\nfor text in texts: {SAY}"
            "print(json.dumps({'smiles': 'CCCC', 'value': 1}))",
            [3, 9, 15, 3],
        ),
        (
            f"{READ}for text in texts[:2]: {SAY}print('out of memory', file=sys.stderr); sys.exit(3)",
            [3, 9, "exit code 3: out of memory", "exit code 3"],
        ),
        (f"{READ}for text in texts[:1]: {SAY}time.sleep(60)", [3, "within 4 s", "within 4 s", "within 4 s"]),
        ("pass", ["exit code 0"] * 4),
        (
            f"{READ}answers = [{{'value': 'low'}}, {{'value': True}}, {{'reason': 'no pose'}}, {{}}]\n"
            "for text, answer in zip(texts, answers): print(json.dumps({'smiles': text, **answer}))",
            ["'low'", "True", "no pose", "None"],
        ),
        (f'{READ}print(\'{{"smiles": "CCO", "value": NaN}}\'); print(\'[\' * 100000)', ["not a number"] + ["exit"] * 3),
    ],
    ids=["any order", "noise", "dies", "hangs", "silent", "odd values", "nan and depth"],
)
def test_whatever_a_program_does_its_values_count(code: str, expected: list[Any]) -> None:
    found = program(code, time_limit=4.0 if "sleep" in code else 60.0).many(TEXTS)
    for one, wanted in zip(found, expected, strict=True):
        if isinstance(wanted, str):
            assert isinstance(one, str) and wanted in one
        else:
            assert one == wanted


def test_a_program_is_a_score_like_others() -> None:
    half = program(f"{READ}for text in texts[:1]: {SAY}", at_once=2)
    found = evaluate(half, TEXTS)
    assert found.values[[0, 2]].tolist() == [3, 15] and [row for row, _ in found.failures] == [1, 3]
    rows = list(evaluate_rows([half, len], TEXTS, 1))
    assert [row[0][0] for row in rows] == [3, None, 15, None] and [row[1][0] for row in rows] == [3, 9, 15, 3]
    assert half("CCO") == 3
    with pytest.raises(TextError, match="no value"):
        program("pass")("CCO")


# --- predictors ------------------------------------------------------------------------------------------------------


def features() -> Any:
    return np.array([folded_counts(text, "ECFP4", 64) > 0 for text in TEXTS], np.float32)


def saved(path: Path, model: Any) -> str:
    io = pytest.importorskip("skops.io")
    io.dump(model, path)
    return str(path)


def test_a_predictor_of_skops(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression, Ridge

    values = [0.0, 1.0, 2.0, 3.0]
    ridge = Ridge().fit(features(), values)
    found = Predictor(saved(tmp_path / "ridge.skops", ridge), size=64)
    np.testing.assert_allclose(found.many(TEXTS), ridge.predict(features()), rtol=1e-5)
    classifier = LogisticRegression().fit(features(), [0, 1, 1, 0])
    found = Predictor(saved(tmp_path / "classes.skops", classifier), size=64)
    np.testing.assert_allclose(found.many(TEXTS), classifier.predict_proba(features())[:, 1], rtol=1e-5)
    near = Predictor(saved(tmp_path / "near.skops", ridge), size=64, domain=["c1ccccc1O"], least_similarity=0.4)
    values = near.many(["Cc1ccccc1O", "CCO", "nonsense"])
    assert isinstance(values[0], float) and "domain" in str(values[1]) and isinstance(values[2], str)


def test_a_predictor_of_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    weights = np.arange(64, dtype=np.float32)[:, None]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 64])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 1])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "linear.onnx")
    found = Predictor(str(tmp_path / "linear.onnx"), size=64)
    np.testing.assert_allclose(found.many(TEXTS), (features() @ weights)[:, 0], rtol=1e-5)
    with pytest.raises(DataError, match="fingerprint, size and counts"):
        Predictor(str(tmp_path / "linear.onnx"), size=32).many(TEXTS)


class Sneaky:
    """A type that nobody trusts."""


def test_files_that_could_run_code_or_are_damaged_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(InputError, match="could run any code"):
        Predictor(str(tmp_path / "model.pkl"))
    with pytest.raises(DataError, match="no such file"):
        Predictor(str(tmp_path / "none.skops"))
    with pytest.raises(DataError, match="could run code"):
        Predictor(saved(tmp_path / "sneaky.skops", Sneaky()))
    with pytest.raises(DataError, match="no predictor"):
        Predictor(saved(tmp_path / "table.skops", {"a": 1}))
    for name in ("damaged.skops", "damaged.onnx"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(DataError, match="cannot be read"):
            Predictor(str(tmp_path / name))
