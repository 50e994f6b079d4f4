"""Long work: one piece at a time, stopped when asked, and whatever goes wrong is a sentence."""

import threading
import warnings

import pytest

from grammar_rae.errors import InputError
from grammar_rae.explorer.jobs import MODEL, Jobs, Progress, StoppedError, run_here, run_in_thread, sentence


def jobs(run=run_here):
    events = []
    return Jobs(events.append, lambda call: call(), run), events


def test_progress_and_the_result_are_told():
    found = []
    one, events = jobs()

    def work(progress):
        progress.check(1, 4, "rows")
        warnings.warn("too few rows", stacklevel=1)
        return 7

    one.start("Counting", work, found.append)
    assert found == [7] and not one.busy
    assert {"tell": "work", "state": "running", "title": "Counting", "done": 1, "total": 4, "what": "rows"} in events
    assert events[-2]["state"] == "idle"
    assert events[-1] == {"tell": "notice", "kind": "note", "text": "Too few rows."}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InputError("a number is wrong", received="3"), "A number is wrong; received 3."),
        (FileNotFoundError(2, "no such file", "x.smi"), "X.smi: no such file."),
        (MemoryError(), "There is not enough memory for this; ask for less."),
        (ZeroDivisionError("division by zero"), "This did not work: ZeroDivisionError, division by zero."),
    ],
)
def test_an_error_is_a_sentence_and_the_next_work_runs(error, text):
    one, events = jobs()

    def work(_):
        raise error

    one.start("Failing", work, lambda _: pytest.fail("there is no result"))
    assert events[-1] == {"tell": "notice", "kind": "error", "text": text} and sentence(error) == text
    found = []
    one.start("Working", lambda _: 1, found.append)
    assert found == [1]


def test_one_piece_at_a_time_and_a_stop_ends_it():
    one, events = jobs(run_in_thread)
    begun, ended = threading.Event(), threading.Event()

    def work(progress):
        while True:
            begun.set()
            progress.check(0, 0, "")

    def end(call):
        call()
        if not one.busy:
            ended.set()

    one._post = end
    one.start("Endless", work, lambda _: pytest.fail("there is no result"))
    assert begun.wait(30)
    with pytest.raises(InputError, match="Endless is still running"):
        one.start("Second", lambda _: 1, print)
    one.stop()
    assert ended.wait(30)
    assert events[-1]["text"] == "Endless was stopped." and not MODEL.locked()


def test_two_tabs_take_turns_with_the_model_and_waiting_can_be_stopped():
    said = []
    progress = Progress(lambda done, total, what: (said.append(what), progress.stop()))
    one, events = jobs()
    one._run = lambda work: work()
    with MODEL:
        one._progress, one._title = progress, "Waiting"
        one._work(progress, lambda _: pytest.fail("the model is not free"), print)
    assert said == ["waiting for another tab"] and events[-1]["text"] == "Waiting was stopped."


def test_progress_that_was_stopped_stops():
    progress = Progress()
    progress.check(0, 1, "")
    progress.stop()
    with pytest.raises(StoppedError):
        progress.check(0, 1, "")
