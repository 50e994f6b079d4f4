"""What a search leaves on the disk: kills, resumption, damage, and folders of others."""

import csv
import json
import os
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from optimization.digits import Digits, Refusing, run, same, tilt, total

from grammar_rae.errors import DataError, InputError, WorkerError
from grammar_rae.optimization import STRATEGIES
from grammar_rae.scores import Score


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


def test_rows_twice_or_out_of_order_are_damage(tmp_path: Path) -> None:
    run(folder=tmp_path / "run")
    history = tmp_path / "run" / "history.csv"
    lines = history.read_bytes().splitlines(keepends=True)
    for wrong in ([*lines, lines[-1]], [lines[0], *lines[2:]], [lines[0], lines[2], lines[1], *lines[3:]]):
        history.write_bytes(b"".join(wrong))
        with pytest.raises(DataError, match="damaged"):
            run(folder=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    "wrong", [{"data": ["x", "y"]}, {"jobs": 0}, {"model": Refusing(), "data": ["111", "222", "333"]}]
)
def test_a_run_that_could_not_begin_leaves_the_folder_free(tmp_path: Path, wrong: dict[str, Any]) -> None:
    asked: list[str] = []
    score = Score("total", lambda text: asked.append(text) or total(text), True, "")  # type: ignore[func-returns-value]
    with pytest.raises((DataError, InputError)):
        run(score=score, folder=tmp_path, **wrong)
    assert not asked
    same(run(), run(folder=tmp_path))


def test_a_file_is_no_folder_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    for resume in (False, True):
        with pytest.raises(DataError, match="not a folder"):
            run(folder=tmp_path / "run", resume=resume)


def test_the_history_is_a_table_of_its_own(tmp_path: Path) -> None:
    result = run(folder=tmp_path, n_iterations=2)
    frame = pd.read_csv(tmp_path / "history.csv", dtype={"text": str})
    assert frame["text"].tolist() == result.history["text"].tolist()
    assert frame["total"].tolist() == result.history["total"].tolist()
    assert frame["valid"].tolist() == result.history["valid"].tolist()
    assert json.loads((tmp_path / "settings.json").read_text())["strategy"] == "turbo"
    with (tmp_path / "initial.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == len(result.initial) + 1


def test_what_no_table_can_be_is_damage(tmp_path: Path) -> None:
    run(folder=tmp_path, n_iterations=1)
    with (tmp_path / "history.csv").open("a") as file:
        file.write('1,2,"' + "3" * 200_000 + "\n")  # a quotation mark that is never closed
    with pytest.raises(DataError, match="damaged"):
        run(folder=tmp_path, n_iterations=1, resume=True)


def test_with_several_processes_too_each_value_is_kept_as_soon_as_it_is_known(tmp_path: Path) -> None:
    log = tmp_path / "asked"
    log.touch()

    def fatal(text: str) -> float:
        with log.open("a") as file:
            file.write(f"{text}\n")
        if len(log.read_text().splitlines()) >= 20:
            os._exit(1)
        time.sleep(0.05)
        return float(len(text))

    with pytest.raises(WorkerError, match="a process ended"):
        run(score=Score("length", fatal, True, ""), folder=tmp_path / "run", jobs=2, n_iterations=1)
    kept = len((tmp_path / "run" / "initial.csv").read_text().splitlines()) - 1
    assert 1 <= kept < 20  # those before it, less what was under way


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
        def encode(self, texts: list[str], errors: str = "raise") -> Any:
            found = super().encode(texts, errors)
            found.codes *= -1
            return found

    class Longer(Digits):
        dimensions = 4

    run(folder=tmp_path, n_iterations=1)
    for other in (Other(), Longer()):  # other codes, or none of these texts
        with pytest.raises(DataError, match="another model"):
            run(folder=tmp_path, model=other, resume=True)


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
