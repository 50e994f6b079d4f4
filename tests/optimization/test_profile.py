"""Profiles: what a file of objectives says, what values are worth by it, and what a search makes of it."""

import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optimization.chains import Chains, Phenyls

from grammar_rae.chem import heavy_atoms, measure, scaffold
from grammar_rae.errors import DataError, GrammarRAEError, InputError, UnknownNameError
from grammar_rae.optimization import Search, read_objectives
from grammar_rae.optimization.diversity import Diversity, maxmin
from grammar_rae.optimization.fingerprints import fingerprint_counts, tanimoto
from grammar_rae.optimization.wishes import find_wishes

OPTIONS: dict[str, Any] = {"seed": 0, "n_initial": 12, "n_pool": 60, "surrogate": "codes"}
GOALS = """
merge = "geometric"
limits = "heavy_atoms <= 14"

[objectives.weight]
transform = { kind = "window", low = 90, high = 130, margin = 60 }
weight = 2

[objectives.oxygen]
score = "smarts"
pattern = "O"
transform = { kind = "linear", low = 0, high = 4 }
at_most = 5

[objectives.activity]
transform = { kind = "sigmoid", low = 5, high = 9 }
"""


def goals(folder: Path, text: str = GOALS) -> Path:
    path = folder / "goals.toml"
    path.write_text(text)
    return path


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_file_says_it_all(tmp_path: Path) -> None:
    found = read_objectives(goals(tmp_path))
    assert found.names == ["weight", "oxygen", "activity"] and set(found.functions) == {"weight", "oxygen"}
    assert found.weights.tolist() == [0.5, 0.25, 0.25] and [one.name for one in found.targets] == ["desirability"]
    assert found.has("C" * 14) and not found.has("C" * 15)
    values = np.array([[110, 2, 7], [180, 2, 7], [110, 6, 7], [110, 2, math.nan]])
    merged = found.values(values)[:, 0]
    assert merged[0] == pytest.approx(1 * 0.5**0.25 * 0.5**0.25)
    assert merged[1] == pytest.approx((1 / 6) ** 0.5 * 0.5**0.5)
    assert merged[2] == 0 and math.isnan(merged[3])  # beyond a hard limit; without a value
    assert read_objectives({**found.table}).names == found.names  # what is kept is read again


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0.01, 100)),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["arithmetic", "geometric"]),
)
def test_merged_values_lie_between_the_least_and_the_greatest(parts: list[tuple[float, float]], merge: str) -> None:
    linear = {"kind": "linear", "low": 0, "high": 1}
    rows = {f"o{index}": {"transform": linear, "weight": weight} for index, (_, weight) in enumerate(parts)}
    values = np.array([[value for value, _ in parts]])
    found = float(read_objectives({"merge": merge, "objectives": rows}).values(values)[0, 0])
    assert values.min() - 1e-9 <= found <= values.max() + 1e-9


def test_a_front_has_a_column_for_each(tmp_path: Path) -> None:
    rows = {
        "logp": {"direction": "minimize", "at_least": -2},
        "like": {"score": "similarity", "to": ["CCO"], "transform": {"kind": "step", "low": 0.5}},
    }
    found = read_objectives({"merge": "pareto", "objectives": rows})
    assert [tuple(one) for one in found.targets] == [("logp", -1.0), ("like_desirability", 1.0)]
    np.testing.assert_array_equal(
        found.values(np.array([[1.0, 0.7], [-3.0, 0.7], [math.nan, 0.1]])), [[-1, 1], [math.nan] * 2, [math.nan, 0]]
    )


def test_files_that_a_profile_names_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "known.smi").write_text("CCO\nCCN\n")
    (tmp_path / "dock.py").write_text("")
    text = f"""
merge = "pareto"
[objectives.like]
score = "similarity"
to = "known.smi"
[objectives.dock]
score = "program"
command = ["{sys.executable}", "dock.py"]
"""
    found = read_objectives(goals(tmp_path, text))
    assert found.functions["like"]("CCN") == 1
    assert found.functions["dock"].command[1] == str(tmp_path / "dock.py")  # type: ignore[attr-defined]


QED = '[objectives.qed]\ntransform = { kind = "linear", low = 0, high = 1 }\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("merge = ", "cannot be read"),
        ("", "no objectives"),
        (f'mrege = "geometric"\n{QED}', "'merge'"),
        (f'merge = "geometrical"\n{QED}', "'geometric'"),
        (f"{QED}[objectives.sa]\n", "not said how"),
        (f'folder = "/"\nmerge = "pareto"\n{QED}', "unknown key"),
        ('merge = "arithmetic"\n[objectives.qed]\n', "no transform"),
        ('merge = "pareto"\n[objectives.qed]\nweight = 2\n', "has a weight"),
        (f'merge = "geometric"\n{QED}weight = 0\n', "above 0"),
        (f'merge = "geometric"\n{QED}weigth = 1\n', "'weight'"),
        (f'merge = "geometric"\n{QED}direction = "maximize"\n', "a transform and a direction"),
        (f'merge = "geometric"\n{QED}at_least = 3\nat_most = 2\n', "no qed is within"),
        ('[objectives.qed]\ndirection = "up"\n', "no direction"),
        ('[objectives.like]\nscore = "similarly"\n', "'similarity'"),
        ('[objectives.like]\nscore = "similarity"\n', "to is missing"),
        ('[objectives.like]\nscore = "similarity"\nto = "none.smi"\n', "none.smi"),
        ('[objectives.like]\nscore = "similarity"\nto = ["CCO"]\nfingerprnt = "AP"\n', "'fingerprint'"),
        ('[objectives.hit]\nscore = "smarts"\npattern = "["\n', "SMARTS"),
        ("[objectives.penalized_logp]\n", "depends on data"),
        (f'merge = "geometric"\nlimits = "logp < 1 and logp > 2"\n{QED}', "contradict themselves"),
        (f'merge = "geometric"\nlimits = "lgop < 1"\n{QED}', "'logp'"),
        ("[objectives.id]\n", "is taken"),
        (f'merge = "geometric"\n{QED.replace("qed]", "desirability]")}', "is taken"),
        (f'merge = "geometric"\n{QED}[diversity]\nscafold_bucket = 3\n', "'scaffold_bucket'"),
        (f'merge = "geometric"\n{QED}[diversity]\nscaffold_bucket = 0\n', "scaffold_bucket cannot"),
        (f'merge = "geometric"\n{QED}[diversity]\nbatch = "wide"\n', "batch cannot"),
        (f'merge = "geometric"\n{QED}[diversity]\nminimum = 0.5\n', "fills a bucket"),
        ("[objectives.qed]\n[diversity]\nscaffold_bucket = 2\nminimum = 0.5\n", "Merge the objectives"),
        ("objectives = 3", "no objectives"),
        ('[objectives.qed]\ndirection = ["maximize"]\n', "no direction"),
        ('[objectives.like]\nscore = "similarity"\nto = ["CCO"]\nfingerprint = ["AP"]\n', "not a text"),
        ('[objectives.dock]\nscore = "program"\ncommand = ["python", 3]\n', "command cannot be used"),
        ('[objectives.dock]\nscore = "program"\ncommand = ["ls"]\nat_once = 0\n', "at_once is not"),
        (QED.replace('"linear"', '["linear"]'), "kind of transform"),
        ("[objectives]\nqed = 3", "is not a table"),
    ],
)
def test_what_means_nothing_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(GrammarRAEError, match="(?s)" + said.replace("[", r"\[")):
        read_objectives(goals(tmp_path, text))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for wrong, kind in ((tmp_path / "none.toml", DataError), (3, InputError), (tmp_path, DataError)):
        with pytest.raises(kind):
            read_objectives(wrong)


# --- diversity -------------------------------------------------------------------------------------------------------


def test_maxmin_takes_the_least_like_each_time() -> None:
    texts = ["CCO", "CCCO", "c1ccccc1", "Cc1ccccc1", "CC(=O)NC", "CCN", "C1CCNCC1"]
    counts = fingerprint_counts(texts)
    assert counts is not None
    similarity, found = tanimoto(counts, counts), maxmin(texts)
    assert sorted(found) == list(range(7)) and found[0] == 0
    for place in range(1, 7):
        before, after = found[:place], found[place:]
        assert similarity[found[place], before].max() == pytest.approx(
            min(similarity[row, before].max() for row in after)
        )
    assert maxmin(["?", "!"]) == [0, 1]


def test_a_batch_fills_no_bucket_beyond_its_end() -> None:
    texts = ["Cc1ccccc1", "CCc1ccccc1", "CCO", "CCCc1ccccc1", "C1CCNCC1"]
    diversity = Diversity(scaffold_bucket=2)
    assert diversity.pick(texts, 5, {}) == [0, 1, 2, 4]
    assert diversity.pick(texts, 5, {"c1ccccc1": 1}) == [0, 2, 4]
    assert diversity.is_full("OCc1ccccc1", diversity.count(texts)) and not diversity.is_full("CCO", {"": 9})
    assert Diversity().pick(texts, 2, {}) == [0, 1] and not Diversity().count(texts)


# --- searches --------------------------------------------------------------------------------------------------------


def searched(folder: Path | None, text: str, model: Any = None, home: Path | None = None, **more: Any) -> Search:
    return Search(
        model or Chains(), None if folder is None else goals(folder, text), folder=home, **{**OPTIONS, **more}
    )


COMPUTED = GOALS[: GOALS.index("[objectives.activity]")]


def test_a_run_gets_better_within_the_limits(tmp_path: Path) -> None:
    found = searched(tmp_path, COMPUTED, home=tmp_path / "run").run(52, batch_size=10)
    history = found.history()
    assert len(history) == 52 and not found.pending and max(map(heavy_atoms, history["smiles"])) <= 14
    np.testing.assert_array_equal(
        history["oxygen"], [measure(text, [("matches", "O")])[0] for text in history["smiles"]]
    )
    assert history["desirability"][12:].max() >= history["desirability"][:12].max()
    assert history["desirability_expected"][12:].notna().all()
    assert (history["desirability"][history["oxygen"] > 5] == 0).all()
    best = found.best(5)["desirability"]
    assert best.is_monotonic_decreasing and best[0] == history["desirability"].max()
    assert found.best(1, "oxygen")["oxygen"][0] >= 4  # all that it can be worth
    assert found.front()["desirability"].eq(best[0]).all() and "maximize desirability" in repr(found)
    # Opened again, with or without the model, it knows what it is for.
    again = Search.open(tmp_path / "run")
    assert again.history().equals(history) and again.profile.merge == "geometric"
    assert len(searched(tmp_path, COMPUTED, home=tmp_path / "run").run(55).history()) == 55
    with pytest.raises(DataError, match="another search"):
        searched(tmp_path, COMPUTED.replace("90", "80"), home=tmp_path / "run")


def test_values_from_outside_are_merged_when_they_come(tmp_path: Path) -> None:
    found = searched(tmp_path, GOALS)
    with pytest.raises(UnknownNameError, match="activity"):
        found.run(5)
    batch = found.ask(15)
    found.tell(batch[["id"]].assign(activity=[*np.linspace(4, 9, 14), None], reason=[""] * 14 + ["insoluble"]))
    history = found.history()
    assert history["desirability"][:14].between(0, 1).all() and math.isnan(history["desirability"][14])
    assert found.ask(3)["desirability_expected"].between(-1, 2).all()


def test_a_run_that_is_stopped_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys, json, pathlib\n"
        "for text in sys.stdin.read().split():\n"
        "    if pathlib.Path(sys.argv[1]).exists() and len(text) > 9: sys.exit(1)\n"
        "    print(json.dumps({'smiles': text, 'value': len(text)}))\n"
    )
    (tmp_path / "dies.py").write_text(code)
    mark = tmp_path / "broken"
    mark.write_text("")
    table = {"score": "program", "command": [sys.executable, str(tmp_path / "dies.py"), str(mark)]}
    aims = {"objectives": {"length": {**table, "at_once": 4}}}
    found = Search(Chains(), aims, folder=tmp_path / "run", **OPTIONS).run(12)
    failed = found.history()["reason"] != ""
    assert failed.any() and not failed.all() and found.history().loc[failed, "reason"].str.contains("exit code 1").all()
    mark.unlink()
    assert found.tell({"id": found.history().loc[failed, "id"].tolist()}, correct=True).failures == 0  # tried again
    lines = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    assert len([line for line in lines if "told" in json.loads(line)]) >= 4  # each part reached the disk
    assert len(Search(Chains(), folder=tmp_path / "run").run(20, batch_size=4).history()) == 20


def test_limits_that_the_model_cannot_keep_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of them within the limits"):
        searched(tmp_path, COMPUTED.replace("heavy_atoms <= 14", "heavy_atoms >= 40")).ask(5)


@pytest.mark.filterwarnings("ignore:the model has only")
def test_scaffolds_are_used_up(tmp_path: Path) -> None:
    text = f"{COMPUTED.replace('heavy_atoms <= 14', 'heavy_atoms <= 40')}\n[diversity]\nscaffold_bucket = 7\n"
    history = searched(tmp_path, text, Phenyls()).run(20, batch_size=5).history()
    assert len(history) == 7 and set(map(scaffold, history["smiles"])) == {"c1ccccc1"}
    # Those that are worth little do not count.
    assert len(searched(tmp_path, f"{text}minimum = 0.99\n", Phenyls()).run(20, batch_size=5).history()) == 20


def test_a_batch_by_maxmin_is_wider(tmp_path: Path) -> None:
    def spread(text: str) -> float:
        found = searched(tmp_path, text).run(12)
        counts = fingerprint_counts(found.ask(8)["smiles"].tolist())
        assert counts is not None
        return float(tanimoto(counts, counts).mean())

    assert spread(f'{COMPUTED}\n[diversity]\nbatch = "maxmin"\n') < spread(COMPUTED)


def test_wishes_are_where_objectives_are_best(tmp_path: Path) -> None:
    ranges = {"weight": (50.0, 500.0), "logp": (-2.0, 6.0), "tpsa": (0.0, 200.0), "qed": (0.1, 0.9)}
    found = find_wishes(read_objectives(goals(tmp_path)), ranges)
    assert set(found) == {"weight"} and found["weight"] == pytest.approx((84, 136), abs=2)
    assert find_wishes(read_objectives({"qed": "maximize"}), ranges)["qed"] == pytest.approx((0.74, 0.9))
    goal = find_wishes(read_objectives({"pmo:sitagliptin_mpo": "maximize"}), ranges)
    truth = dict(
        zip(
            ("logp", "tpsa"),
            measure("Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F", [("logp", ""), ("tpsa", "")]),
            strict=True,
        )
    )
    for name, value in truth.items():
        assert goal[name][0] <= value <= goal[name][1]
    both = {"low": {"score": "logp", "direction": "minimize"}, "high": {"score": "logp"}}
    assert find_wishes(read_objectives({"merge": "pareto", "objectives": both}), ranges) == {}


def test_several_objectives_have_a_front(tmp_path: Path) -> None:
    found = Search(Chains(), {"weight": "minimize", "logp": "maximize"}, **OPTIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found.run(30, batch_size=6)
    front, history = found.front(), found.history()
    for _, row in front.iterrows():
        better = (history["weight"] <= row["weight"]) & (history["logp"] >= row["logp"])
        better &= (history["weight"] < row["weight"]) | (history["logp"] > row["logp"])
        assert not better.any()
    assert front["weight"].is_monotonic_increasing and len(front) > 1
