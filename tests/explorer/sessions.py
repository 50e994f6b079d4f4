"""A session without a browser: it is asked, and keeps what it tells."""

from pathlib import Path
from typing import Any

from grammar_rae.explorer.jobs import run_here
from grammar_rae.explorer.session import Session
from grammar_rae.explorer.study import Study
from grammar_rae.model import TextModel

WRITTEN = "name,smiles\nalpha,CCO\nbeta,c1ccccc1C(=O)NC\n=1+1,CCN\nodd,C[Si](C)(C)CCO\nbroken,c1ccccc\n,CCOC\n"


class Asked(Session):
    """A session whose work is done at once."""

    def __init__(self, study: Study) -> None:
        self.events: list[dict[str, Any]] = []
        super().__init__(study, self.events.append, lambda call: call(), run_here)

    def hear(self, ask: str, **more: Any) -> list[dict[str, Any]]:
        """What a message leads to."""
        before = len(self.events)
        self.ask({"ask": ask, **more})
        return self.events[before:]

    def notices(self, ask: str, **more: Any) -> list[tuple[str, str]]:
        """The sentences that a message leads to, with their kinds."""
        return [(one["kind"], one["text"]) for one in self.hear(ask, **more) if one["tell"] == "notice"]

    def error(self, ask: str, **more: Any) -> str:
        """The one sentence about what cannot be done."""
        ((kind, text),) = self.notices(ask, **more)
        assert kind == "error" and text.endswith((".", "?")) and "\n" not in text
        return text


def told(events: list[dict[str, Any]], what: str) -> dict[str, Any]:
    """The last event of a kind."""
    return [one for one in events if one["tell"] == what][-1]


def begin(model: TextModel, folder: Path, file: Path | None = None, **more: Any) -> Asked:
    """A session that has loaded its layers."""
    session = Asked(Study(model, folder, file, draws=more.pop("draws", 20), **more))
    session.ask({"ask": "begin"})
    return session
