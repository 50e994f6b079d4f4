"""Ask and tell: what is asked, what is told, what is refused, and what a folder keeps."""

import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optimization.chains import Chains
from optimization.digits import Digits, Mute, drawn, total

from grammar_rae.chem import canonical_or_none
from grammar_rae.errors import DataError, GrammarRAEError, InputError
from grammar_rae.locks import FolderLock
from grammar_rae.optimization import STRATEGIES, Search, read_table, search
from grammar_rae.optimization.ledger import EVENTS, SETTINGS, Ledger, Molecule, Telling

OPTIONS: dict[str, Any] = {"seed": 0, "n_initial": 8, "n_pool": 40, "surrogate": "codes"}
UP = {"total": "maximize"}


def begun(folder: Path | None = None, told: bool = True, **more: Any) -> Search:
    """A search of which eight draws were asked, and told where that is wanted."""
    found = Search(Digits(), UP, folder=folder, **{**OPTIONS, **more})
    batch = found.ask(8)
    if told:
        found.tell(batch.assign(total=batch["smiles"].map(total)))
    return found


class Other(Digits):
    """The same texts at other codes."""

    def encode(self, texts: list[str], errors: str = "raise") -> Any:
        found = super().encode(texts, errors)
        found.codes = -found.codes
        return found


# --- ask -------------------------------------------------------------------------------------------------------------


def test_what_is_asked_is_new_each_time_and_gets_better() -> None:
    found = begun(told=False)
    again = found.ask(8)
    assert len(found.pending) == 16 and again["total_expected"].isna().all()
    history = found.history()
    found.tell(history.assign(total=history["smiles"].map(total)))
    for _ in range(4):
        batch = found.ask(5)
        assert np.isfinite(batch[["total_expected", "total_spread"]]).all(axis=None)
        assert (batch["total_spread"] > 0).all() and batch["nearest"].eq("").all()  # digits are no molecules
        found.tell(batch.assign(total=batch["smiles"].map(total)))
    history = found.history()
    assert history["smiles"].is_unique and history["id"].is_unique and not found.pending
    assert history["batch"].tolist() == [1] * 8 + [2] * 8 + [batch for batch in (3, 4, 5, 6) for _ in range(5)]
    assert set(history["origin"][:16]) == {"draws"} and len(set(history["origin"][16:])) > 1
    assert history["total"][16:].max() > history["total"][:16].max()
    assert found.best(3)["total"].tolist() == sorted(history["total"], reverse=True)[:3]


def test_expectations_have_the_sign_of_the_objective() -> None:
    found = Search(Digits(), {"total": "minimize"}, **OPTIONS)
    batch = found.ask(20)
    found.tell(batch.assign(total=batch["smiles"].map(total)))
    batch = found.ask(10)
    truth = batch["smiles"].map(total)
    assert truth.mean() < found.history()["total"].mean() and abs(batch["total_expected"] - truth).mean() < 3
    assert found.best(1)["total"].iloc[0] == found.history()["total"].min()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_any_strategy_can_be_asked(strategy: str) -> None:
    options = {"paper": {"n_raw": 16, "n_starts": 1}, "density": {"n_pool": 40, "steps": 2}}
    found = Search(Digits(), UP, strategy=strategy, seed=0, n_initial=8, **options.get(strategy, {"n_pool": 40}))
    batch = found.ask(10)
    found.tell(batch.assign(total=batch["smiles"].map(total)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the paper's points may decode to what is known
        batch = found.ask(3)
    assert not set(batch["smiles"]) & set(found.history()["smiles"][:10])
    assert batch["total_expected"].notna().all()


def test_several_objectives_need_nothing_but_the_strategy() -> None:
    found = Search(Digits(), {"total": "maximize", "first": "minimize"}, **OPTIONS)
    batch = found.ask(12)
    assert found.tell(batch.assign(total=batch["smiles"].map(total))).pending == 12  # the other one is still to come
    assert found.ask(2)["total_expected"].isna().all()
    found.tell(batch.assign(first=batch["smiles"].str[0].astype(int)))
    batch = found.ask(6)
    assert np.isfinite(batch[["total_expected", "first_spread"]]).all(axis=None)


def test_the_budget_is_kept() -> None:
    found = begun(told=False, budget=10)
    with pytest.warns(UserWarning, match="leaves 2 of the 50"):
        assert len(found.ask(50)) == 2
    with pytest.raises(InputError, match="budget"):
        found.ask(1)


def test_a_model_that_has_no_more() -> None:
    class Few(Digits):
        def sample(self, n: int, **options: Any) -> Any:
            return drawn(self, ["111", "222"])

    with pytest.warns(UserWarning, match="only 2 of 5"):
        assert len(Search(Few(), UP, seed=0).ask(5)) == 2
    found = Search(Mute(), UP, **OPTIONS)
    batch = found.ask(9)
    found.tell(batch.assign(total=batch["smiles"].map(total)))
    assert (found.ask(3)["smiles"].str.len() == 3).all()  # plain draws are left where the decoder says nothing


def test_data_with_values_are_learned_from_and_others_asked_first() -> None:
    table = pd.DataFrame({"text": ["111", "999", "12", "x", "123", "111"], "total": [3.0, None, 3.0, 1.0, "6", 3.0]})
    found = Search(Digits(), UP, data=table, **OPTIONS)
    assert len(found) == 3 and not found.pending
    assert found.ask(1)["smiles"].tolist() == ["999"]
    assert found.history()["total"].dropna().tolist() == [3.0, 6.0]
    assert found.add(["555", "999", "oh"]) == {"not valid": 1, "a duplicate of another text of the data": 1}
    with pytest.raises(InputError, match="finite number"):
        found.add(pd.DataFrame({"text": ["777"], "total": ["high"]}))
    assert "777" not in set(found.history()["smiles"])


# --- tell ------------------------------------------------------------------------------------------------------------


def test_repeats_are_averaged_and_corrections_replace() -> None:
    found = begun(told=False)
    name = found.pending[0]

    def tell(*values: float, **more: Any) -> Any:
        return found.tell({"id": [name] * len(values), "total": values}, **more)

    def value() -> float:
        return float(found.history()["total"].iloc[0])

    assert tell(1.0).repeats == 0 and value() == 1
    assert tell(2.0, 6.0).repeats == 2 and value() == 3 and found.history()["measurements"].iloc[0] == 3
    done = tell(10.0, correct=True)
    assert (done.corrections, done.repeats, value()) == (1, 0, 10)
    found.tell({"id": [name], "total": [None], "reason": ["spilled"]})
    assert value() == 10  # a failure takes back no value
    found.tell({"id": [name], "total": [None], "reason": ["spilled"]}, correct=True)
    assert np.isnan(value()) and found.history()["reason"].iloc[0] == "spilled"
    tell(4.0)
    assert value() == 4 and found.history()["reason"].iloc[0] == ""


def test_a_subset_with_failures_and_blanks() -> None:
    found = begun(told=False)
    names = found.pending
    told = found.tell({"id": names[:3], "total": ["1.5", "", np.nan], "reason": ["", "insoluble", ""]})
    assert (told.values, told.failures, told.blank, told.pending) == (1, 1, 1, 6)
    assert found.pending == names[2:]
    assert "1 values, 1 failures, 1 rows without value" in str(told)
    found.tell({"id": names[2:], "total": range(6)})
    assert found.ask(2)["total_expected"].notna().all()  # a failure is learned from, too


def test_a_named_score_is_computed_unless_it_is_told() -> None:
    pytest.importorskip("rdkit")
    found = Search(Digits(), {"expression_error": "minimize", "total": "maximize"}, **OPTIONS)
    batch = found.ask(2)
    told = found.tell(batch.assign(total=1.0, expression_error=[0.5, None]))
    assert (told.values, told.pending) == (4, 0)
    values = found.history()["expression_error"].tolist()
    assert values[0] == 0.5 and 0 < values[1] != 0.5
    assert found.tell(batch.assign(total=2.0)).values == 2  # what is known is not computed again


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"id": ["xyz9"], "total": [1]}, "no molecule of this name"),
        ({"smiles": ["321"], "total": [1]}, "never asked for"),
        ({"id": ["{0}"], "smiles": ["{1}"], "total": [1]}, "another one"),
        ({"id": ["{0}"], "total": ["high"]}, "not a finite number"),
        ({"id": ["{0}"], "total": ["1,5"]}, "not a finite number"),
        ({"id": ["{0}"], "total": [np.inf]}, "not a finite number"),
        ({"id": ["{0}"], "total": [True]}, "not a finite number"),
        ({"id": ["{0}"], "affinity": [1]}, "no column of an objective"),
        ({"total": [1]}, "which molecules"),
        ("nothing", "not a table"),
    ],
)
def test_a_table_that_cannot_be_used_changes_nothing(table: Any, said: str, tmp_path: Path) -> None:
    found = begun(tmp_path)
    before = (tmp_path / EVENTS).read_bytes()
    first, second = found.history()["id"][0], found.history()["smiles"][1]
    if isinstance(table, dict):
        table = {
            key: [one.format(first, second) if isinstance(one, str) else one for one in column]
            for key, column in table.items()
        }
        good = {"id": [first], "smiles": [found.history()["smiles"][0]], "total": [5]}
        table = {key: [*good.get(key, [7]), *column] for key, column in table.items()}
    with pytest.raises(InputError, match=said):
        found.tell(table)
    assert (tmp_path / EVENTS).read_bytes() == before


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objectives", "more"),
    [
        (None, {}),
        ({}, {}),
        (["total"], {}),
        ({"total": "up"}, {}),
        ({"total": ["maximize"]}, {}),
        ({"id": "maximize"}, {}),
        ({" ": "maximize"}, {}),
        ({"a": "maximize", "a_spread": "maximize"}, {}),
        ({"penalized_logp": "maximize"}, {}),
        (UP, {"strategy": "luck"}),
        (UP, {"surrogate": "oracle"}),
        (UP, {"levels": []}),
        (UP, {"levels": [0.0]}),
        (UP, {"n_parents": 1}),
        (UP, {"budget": 0}),
        (UP, {"n_initial": 1}),
        (UP, {"seed": -1}),
    ],
)
def test_settings_are_checked_before_anything_is_written(objectives: Any, more: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Search(Digits(), objectives, folder=tmp_path / "s", **more)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "3"])
def test_a_batch_is_a_number(n: Any) -> None:
    with pytest.raises(InputError):
        Search(Digits(), UP).ask(n)


# --- the folder ------------------------------------------------------------------------------------------------------


def test_a_search_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    one, other = begun(tmp_path / "one"), begun(tmp_path / "other")
    for turn in range(3):
        other = Search(Digits(), folder=tmp_path / "other") if turn % 2 else Search.open(tmp_path / "other", Digits())
        pd.testing.assert_frame_equal(one.ask(4), other.ask(4))
        for found in (one, Search.open(tmp_path / "other")):  # which needs no model to be told
            batch = found.history()[-4:]
            found.tell(batch.assign(total=batch["smiles"].map(total)))
    pd.testing.assert_frame_equal(one.history(), Search.open(tmp_path / "other").history())


def test_two_processes_take_turns(tmp_path: Path) -> None:
    one = begun(tmp_path)
    other = Search.open(tmp_path, Digits())
    first, second = one.ask(4), other.ask(4)
    assert not set(first["smiles"]) & set(second["smiles"])
    other.tell(first.assign(total=1.0))
    one.tell(second.assign(total=2.0))
    assert one.pending == [] and other.tell(second[:1].assign(total=2.0)).repeats == 1


@settings(max_examples=20)
@given(cut=st.integers(0, 400))
def test_what_a_kill_left_of_a_line_does_not_count(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("ledger")
    ledger = Ledger({"objectives": UP, "seed": 0}, folder)
    ledger.record(new=[Molecule("a1", "11", "draws", expected={"total": (1.0, 2.0)})], asked=["a1"])
    ledger.record(told=[Telling("a1", {"total": 3.0}, {})])
    ledger.record(told=[Telling("a1", {"total": 5.0}, {})])
    blob = (folder / EVENTS).read_bytes()
    lines = blob.splitlines(keepends=True)
    (folder / EVENTS).write_bytes(blob[: max(0, len(blob) - cut)])
    again = Ledger(None, folder)
    again.refresh()
    kept = max(0, len(blob) - cut)
    whole = sum(kept >= sum(map(len, lines[: count + 1])) for count in range(3))
    values = [[], [], [3.0], [3.0, 5.0]][whole]
    assert [one.measured.get("total", []) for one in again.molecules.values()] == ([values] if whole else [])
    again.record(new=[Molecule("a2", "22", "draws")])
    assert (folder / EVENTS).read_bytes().startswith(b"".join(lines[:whole]))
    last = Ledger(None, folder)
    last.refresh()
    assert list(last.molecules) == (["a1", "a2"] if whole else ["a2"])


def change(folder: Path, **settings: Any) -> None:
    found = json.loads((folder / SETTINGS).read_text())
    (folder / SETTINGS).write_text(json.dumps(found | settings))


def test_another_model_or_another_search_is_refused(tmp_path: Path) -> None:
    begun(tmp_path)
    with pytest.raises(DataError, match="another model"):
        Search(Other(), UP, folder=tmp_path)
    with pytest.raises(DataError, match="another search"):
        Search(Digits(), {"total": "minimize"}, folder=tmp_path)
    with pytest.raises(DataError, match="another search"):
        Search(Digits(), UP, folder=tmp_path, seed=3)
    with pytest.raises(InputError, match="without its model"):
        Search.open(tmp_path).ask(1)
    with pytest.raises(DataError, match="no search"):
        Search.open(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
    change(tmp_path, format=99)
    with pytest.raises(DataError, match="of this version"):
        Search.open(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"3\n",
        b'{"told": [["zz1", {"total": 1}, {}, false]]}\n',
        b'{"new": [["a"]]}\n',
        b'{"told": [["{0}", {"total": "x"}, {}, false]]}\n',
        b'{"asked": ["zz1"]}\n',
    ],
)
def test_a_damaged_line_is_named(line: bytes, tmp_path: Path) -> None:
    begun(tmp_path)
    with (tmp_path / EVENTS).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(DataError, match="line 3"):
        Search.open(tmp_path)


def test_a_folder_in_use_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = begun(tmp_path)
    monkeypatch.setattr(search, "_WAIT", 0.0)
    with FolderLock(tmp_path, "another search"):
        for call in (lambda: found.ask(1), lambda: found.tell({"id": ["x"], "total": [1]})):
            with pytest.raises(GrammarRAEError, match="in use"):
                call()


def test_a_table_is_read_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfid,total,reason\nabc1,007,\nabc2,,NA\n")
    table = read_table(tmp_path / "a.csv")
    assert table.to_dict("list") == {"id": ["abc1", "abc2"], "total": ["007", ""], "reason": ["", "NA"]}
    for name, blob in {"none.csv": None, "empty.csv": b"", "torn.csv": b'a,b\n"x\n'}.items():
        if blob is not None:
            (tmp_path / name).write_bytes(blob)
        with pytest.raises(DataError, match=r"cannot be read"):
            read_table(tmp_path / name)


class Radicals(Chains):
    """Chains of which every second one ends in a radical."""

    def spell(self, counts: Any) -> str:
        text = super().spell(counts)
        return f"{text}C[CH2]" if sum(map(int, counts)) % 2 else text


@pytest.mark.parametrize(("form", "some"), [("kekule", False), (None, True)])
def test_nothing_is_proposed_that_hardly_any_molecule_has(form: str | None, some: bool) -> None:
    model = Radicals()
    model.codec = SimpleNamespace(canonical=canonical_or_none, form=form)
    search = Search(model, {"weight": "maximize"}, seed=0, n_initial=8, n_pool=80, surrogate="codes")
    texts = search.run(24, batch_size=8).history()["smiles"]
    assert len(texts) >= 20 and any("[CH2]" in text for text in texts) == some
