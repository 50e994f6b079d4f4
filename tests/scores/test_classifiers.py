"""The classifiers' own arithmetic, beside scikit-learn's, and what becomes of files that are not theirs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC

from grammar_rae import resources
from grammar_rae.errors import DataError
from grammar_rae.scores import SCORES, evaluate, get_score, score
from grammar_rae.scores.classifiers import CLASSIFIERS, Classifier, couple

BITS = 2048
TEXTS = ["CCO", "CC(=O)Nc1ccc(O)cc1", "CN1CCC[C@H]1c1cccnc1", "[Na+].[Cl-]"]


def bits(text):
    from grammar_rae.chem import morgan

    return np.unpackbits(morgan(text, BITS))


def counts(text):
    from grammar_rae.chem import folded_counts

    return folded_counts(text, "FCFP6", BITS)


def forest_arrays(seed=0):
    random = np.random.default_rng(seed)
    x = random.random((60, BITS)) < 0.1
    x[:4] = [bits(text) for text in TEXTS]
    model = RandomForestClassifier(5, random_state=seed).fit(x, random.integers(0, 2, 60))
    trees = [estimator.tree_ for estimator in model.estimators_]
    positive = [tree.value[:, 0, 1] / tree.value[:, 0].sum(axis=1) for tree in trees]
    return model, {
        "offsets": np.cumsum([0, *(tree.node_count for tree in trees)]).astype(np.int32),
        "left": np.concatenate([tree.children_left for tree in trees]).astype(np.int32),
        "right": np.concatenate([tree.children_right for tree in trees]).astype(np.int32),
        "feature": np.concatenate([tree.feature for tree in trees]).astype(np.int16),
        "positive": np.concatenate(positive),
    }


def machine_arrays(seed=0):
    random = np.random.default_rng(seed)
    x = random.poisson(0.02, (40, BITS))
    x[:4] = [counts(text) for text in TEXTS]
    model = SVC(C=128, gamma=2**-6).fit(x, np.arange(40) % 2)
    return model, {
        "support_vectors": model.support_vectors_.astype(np.int16),
        "dual_coef": model.dual_coef_[0],
        "intercept": model.intercept_,
        "gamma": np.array(2**-6),
        "probA": np.array([-2.0]),
        "probB": np.array([0.5]),
    }


def test_a_forest_gives_what_scikit_learn_gives(tmp_path):
    model, arrays = forest_arrays()
    np.savez(tmp_path / "forest.npz", **arrays)
    for text in TEXTS:
        found = CLASSIFIERS["jnk3"](tmp_path / "forest.npz", text)
        assert found == pytest.approx(model.predict_proba(bits(text)[None] > 0)[0, 1], abs=1e-12)


def test_a_machine_decides_as_scikit_learn_and_couples(tmp_path):
    model, arrays = machine_arrays()
    np.savez(tmp_path / "machine.npz", **arrays)
    for text in TEXTS:
        decision = model.decision_function(counts(text)[None])[0]
        found = CLASSIFIERS["drd2"](tmp_path / "machine.npz", text)
        assert found == pytest.approx(1 - couple(1 / (1 + np.exp(2 * decision + 0.5))), abs=1e-9)


@given(st.floats(0, 1))
def test_coupling_stays_near_the_probability_itself(probability):
    found = couple(probability)
    assert 0 < found < 1
    assert found == pytest.approx(probability, abs=0.005)


# ---- files


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    monkeypatch.setattr(resources, "_roots", lambda: (tmp_path / "package", tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_missing_file_is_told_before_any_work(name, nowhere):
    for ask in (get_score, lambda name: score(["CCO"], [name]), lambda name: evaluate(name, ["CCO"])):
        with pytest.raises(DataError, match=rf"{name}.*not part of the installed.*benchmarks/data.*pip install -e \."):
            ask(f"pmo:{name}")
    with pytest.raises(DataError, match="checkout"):
        SCORES[f"pmo:{name}"].function("CCO")
    assert get_score("pmo:deco_hop").function("CCO") >= 0  # the other tasks need no file


def changed(arrays, name, value):
    return {**arrays, name: value}


def without(arrays, name):
    return {key: value for key, value in arrays.items() if key != name}


def edited(arrays, name, index, value):
    array = arrays[name].copy()
    array[index] = value
    return {**arrays, name: array}


FOREST, MACHINE = forest_arrays()[1], machine_arrays()[1]


@pytest.mark.parametrize(
    ("classifier", "arrays"),
    [
        ("jnk3", without(FOREST, "offsets")),
        ("jnk3", changed(FOREST, "left", FOREST["left"][:-1])),
        ("jnk3", changed(FOREST, "offsets", FOREST["offsets"][:-1])),
        ("jnk3", changed(FOREST, "offsets", np.array([0, 0, FOREST["left"].size]))),
        ("jnk3", changed(FOREST, "positive", np.array(["a"] * FOREST["left"].size))),
        ("jnk3", changed(FOREST, "positive", np.array([{}] * FOREST["left"].size))),  # a pickle
        ("jnk3", edited(FOREST, "left", 0, 0)),  # a tree without an end
        ("jnk3", edited(FOREST, "right", 0, FOREST["left"].size)),
        ("jnk3", edited(FOREST, "right", 0, -1)),
        ("jnk3", edited(FOREST, "feature", 0, BITS)),
        ("jnk3", edited(FOREST, "positive", 0, np.nan)),
        ("jnk3", edited(FOREST, "positive", 0, 1.5)),
        ("jnk3", {name: array[:0] for name, array in FOREST.items()}),
        ("drd2", FOREST),
        ("drd2", changed(MACHINE, "support_vectors", MACHINE["support_vectors"][:, :-1])),
        ("drd2", changed(MACHINE, "dual_coef", MACHINE["dual_coef"][:-1])),
        ("drd2", edited(MACHINE, "dual_coef", 0, np.inf)),
        ("drd2", changed(MACHINE, "gamma", np.array([1.0, 2.0]))),
    ],
)
def test_arrays_that_are_not_a_classifiers_are_refused(classifier, arrays, tmp_path):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=r"bad\.npz: this is not a classifier's file.*git checkout"):
        CLASSIFIERS[classifier](tmp_path / "bad.npz", "CCO")


def test_a_file_that_is_damaged_is_refused(tmp_path):
    whole = Classifier("jnk3").path().read_bytes()
    path = tmp_path / "damaged.npz"
    for damaged in (b"", b"version https://git-lfs", whole[:-100], whole[:1000] + bytes(5000) + whole[6000:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="not a classifier's file"):
            CLASSIFIERS["jnk3"](path, "CCO")
    np.savez_compressed(path, **changed(FOREST, "more", np.zeros(2**24)))  # 128 MiB in a small file
    with pytest.raises(DataError, match="more than"):
        CLASSIFIERS["jnk3"](path, "CCO")
