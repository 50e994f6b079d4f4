"""Long work in a thread: one piece at a time, with progress, a stop, and its errors as sentences."""

import logging
import threading
import warnings
from collections.abc import Callable
from typing import Any

from grammar_rae.errors import GrammarRAEError, InputError

Post = Callable[[Callable[[], None]], None]
"""Runs a call in the page's own thread, soon."""

Tell = Callable[[dict[str, Any]], None]
"""Sends an event to the page."""

MODEL = threading.Lock()
"""Held by whoever works with a model, so that several pages take turns."""


class StoppedError(Exception):
    """A person has stopped the work."""


class Progress:
    """How far a piece of work is, and whether a person wants it to stop.

    Parameters
    ----------
    report
        Called with what is done, the total (0 where nobody knows), and what it counts.
    """

    def __init__(self, report: Callable[[int, int, str], None] = lambda done, total, what: None) -> None:
        self.report = report
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask the work to stop at its next step."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether the work shall stop."""
        return self._stop.is_set()

    def check(self, done: int, total: int, what: str) -> None:
        """Say how far the work is.

        Raises
        ------
        StoppedError
            If a person has stopped it.
        """
        if self.stopped:
            raise StoppedError
        self.report(done, total, what)


def sentence(error: BaseException) -> str:
    """What a person is told of an error."""
    if isinstance(error, GrammarRAEError):
        text = str(error)
    elif isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror or error}."
    elif isinstance(error, MemoryError):
        text = "There is not enough memory for this; ask for less."
    else:
        text = f"This did not work: {type(error).__name__}, {error}."
    return text[:1].upper() + text[1:]


def run_here(work: Callable[[], None]) -> None:
    """Run at once, in this thread: for tests, and for whoever has no page."""
    work()


def run_in_thread(work: Callable[[], None]) -> None:
    """Run in a thread that ends with the process."""
    threading.Thread(target=work, name="explorer", daemon=True).start()


class Jobs:
    """The work of one page.

    Parameters
    ----------
    tell
        Where events go: ``{"tell": "work", ...}`` with the title, progress and state, and ``{"tell": "notice", ...}``.
    post
        Runs what touches the page's state in the page's thread.
    run
        How a piece of work is run.
    """

    def __init__(self, tell: Tell, post: Post, run: Callable[[Callable[[], None]], None] = run_in_thread) -> None:
        self._tell, self._post, self._run = tell, post, run
        self._progress: Progress | None = None
        self._title = ""

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self._progress is not None

    def start(self, title: str, work: Callable[[Progress], Any], done: Callable[[Any], None]) -> None:
        """Run a piece of work; ``done`` gets its result in the page's thread.

        Raises
        ------
        InputError
            While another piece runs.
        """
        if self._progress is not None:
            raise InputError(f"{self._title} is still running", remedy="Wait until it has ended, or stop it.")
        progress = Progress()

        def report(done: int, total: int, what: str) -> None:
            self._post(lambda: self._show(progress, done, total, what))

        progress.report = report
        self._progress, self._title = progress, title
        self._show(progress, 0, 0, "")
        self._run(lambda: self._work(progress, work, done))

    def stop(self) -> None:
        """Ask what runs to stop."""
        if self._progress is not None:
            self._progress.stop()
            self._tell({"tell": "work", "state": "stopping", "title": self._title})

    def _show(self, progress: Progress, done: int, total: int, what: str) -> None:
        if progress is self._progress and not progress.stopped:
            self._tell(
                {"tell": "work", "state": "running", "title": self._title, "done": done, "total": total, "what": what}
            )

    def _work(self, progress: Progress, work: Callable[[Progress], Any], done: Callable[[Any], None]) -> None:
        notes: list[str] = []
        result: Any = None
        failure: dict[str, Any] | None = None
        try:
            with _Model(progress), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                result = work(progress)
                notes = list(dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, UserWarning)))
        except StoppedError:
            failure = {"tell": "notice", "kind": "note", "text": f"{self._title} was stopped."}
        except BaseException as error:  # whatever it was, the page lives on and says it
            if not isinstance(error, GrammarRAEError | OSError):
                logging.getLogger(__name__).exception("%s failed", self._title)
            failure = {"tell": "notice", "kind": "error", "text": sentence(error)}
        self._post(lambda: self._end(failure, notes, done, result))

    def _end(self, failure: dict[str, Any] | None, notes: list[str], done: Callable[[Any], None], result: Any) -> None:
        self._progress = None
        self._tell({"tell": "work", "state": "idle", "title": self._title})
        for note in notes:
            self._tell({"tell": "notice", "kind": "note", "text": note[:1].upper() + note[1:] + "."})
        if failure is not None:
            self._tell(failure)
            return
        try:
            done(result)
        except Exception as error:
            self._tell({"tell": "notice", "kind": "error", "text": sentence(error)})


class _Model:
    """The model's lock, waited for as long as the person does not stop."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __enter__(self) -> None:
        while not MODEL.acquire(timeout=0.2):
            self._progress.check(0, 0, "waiting for another tab")

    def __exit__(self, *_: object) -> None:
        MODEL.release()
