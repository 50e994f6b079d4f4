"""The errors that a user of this package can meet.

Each one says in one sentence what is wrong and carries what was received, what was expected, where, and the remedy, so
that a notebook shows a sentence and the command line shows no traceback.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, ClassVar

QUOTED = 200
"""The characters of anything that was received that an error quotes, at most; of what it says itself, twice as many."""

_PLACES = re.compile(r" near character \d+| # \d+|:(?: \d+)+$")  # as RDKit names atoms and characters


def shorten(what: object, most: int = QUOTED) -> str:
    """The text of something, with its middle left out where it is long."""
    text = str(what)
    if len(text) <= most:
        return text
    half = (most - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


class GrammarRAEError(Exception):
    """The root of all errors that this package raises on purpose.

    Parameters
    ----------
    message
        One sentence: what is wrong.
    received, expected, where, remedy
        The same in parts, for programs; ``str(error)`` includes those that are set.
    """

    def __init__(
        self,
        message: str,
        *,
        received: Any = None,
        expected: Any = None,
        where: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.received, self.expected = message, received, expected
        self.where, self.remedy = where, remedy

    def __str__(self) -> str:
        parts = [shorten(self.message.rstrip("."), 2 * QUOTED)]
        if self.where is not None:
            parts[0] = f"{shorten(self.where)}: {parts[0]}"
        if self.received is not None:
            parts.append(f"received {shorten(self.received)}")
        if self.expected is not None:
            parts.append(f"expected {shorten(self.expected, 2 * QUOTED)}")
        sentence = "; ".join(parts) + "."
        return f"{sentence} {shorten(self.remedy, 2 * QUOTED)}" if self.remedy else sentence

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes send errors back; keyword-only arguments need more than Exception's own pickling.
        return (_rebuild, (type(self), self.message, self.__dict__.copy()))


def _rebuild(cls: type[GrammarRAEError], message: str, state: dict[str, Any]) -> GrammarRAEError:
    error = cls.__new__(cls)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class InputError(GrammarRAEError, ValueError):
    """An invalid argument: a wrong number, shape, type or combination."""


class UnknownNameError(InputError):
    """A name that none of the package's tables contains.

    It shows the names of a short table, and only the nearest ones of a long table.

    Parameters
    ----------
    kind
        What the name was taken for.
    name
        The name.
    known
        The names of the table.
    listed_by
        The command or object that lists all names of a long table.
    """

    most_shown: ClassVar[int] = 8
    most_near: ClassVar[int] = 3

    def __init__(self, kind: str, name: object, known: Iterable[str], listed_by: str | None = None) -> None:
        known = sorted(known)
        few = len(known) <= self.most_shown
        near = [repr(one) for one in _nearest(str(name), known)[: 1 if few else self.most_near]]
        remedies = []
        if near:
            remedies.append(f"Did you mean {' or '.join(filter(None, [', '.join(near[:-1]), near[-1]]))}?")
        if listed_by and not few:
            remedies.append(f"All of them: {listed_by}.")
        super().__init__(
            f"unknown {kind}",
            received=repr(name),
            expected=f"one of {', '.join(known) if few else f'{len(known)} names'}" if known else None,
            remedy=" ".join(remedies) or None,
        )


def _nearest(name: str, known: list[str]) -> list[str]:
    """The names that are like this one, the likest first; where there are none, those that contain it."""
    name = name.lower()[:QUOTED]
    lower = {one.lower(): one for one in known}
    near = get_close_matches(name, lower, n=len(lower) or 1)
    near = near or sorted((one for one in lower if len(name) > 1 and name in one), key=len)
    return [lower[one] for one in near]


class GrammarError(InputError):
    """A grammar that cannot be read or used."""


class TextError(InputError):
    """A text outside the language: RDKit or the grammar refuses it, or it is too long.

    ``position`` is the index of the offending character in ``text``, where one is known. ``text`` is what was parsed:
    where RDKit has rewritten what was passed, ``source`` is that.
    """

    def __init__(self, message: str, *, text: str, position: int | None = None, **parts: Any) -> None:
        super().__init__(message, received=parts.pop("received", None) or repr(text), **parts)
        self.text = text
        self.position = position
        self.source: str | None = None

    def blame_rewriting(self, source: str) -> None:
        """Say that the offending text is not ``source``, which was passed, but what RDKit writes for it."""
        if self.text != source:
            self.source = source
            self.received = f"{shorten(self.text, QUOTED // 2)!r}, which RDKit writes for {shorten(source, 60)!r}"

    @property
    def kind(self) -> str:
        """The message without the places in the text that it names: texts refused for one reason have one kind."""
        return _PLACES.sub("", self.message)

    @property
    def reason(self) -> str:
        """Why the text is refused, for a list that has the text beside it: with limit, place and remedy."""
        parts = [shorten(self.message.rstrip("."), 2 * QUOTED)]
        if self.source is not None:
            place = "" if self.position is None else f"character {self.position + 1} of "
            parts.append(f"{place}{shorten(self.text)!r}, which RDKit writes for it")
        else:
            if self.position is not None and f"character {self.position + 1}" not in self.message:
                parts.append(f"character {self.position + 1}")
            if self.received != repr(self.text):
                parts.append(f"received {shorten(self.received)}")
        if self.expected is not None:
            parts.append(f"expected {shorten(self.expected, 2 * QUOTED)}")
        return "; ".join(parts) + (f". {shorten(self.remedy, 2 * QUOTED)}" if self.remedy else "")

    @classmethod
    def too_long(cls, message: str, text: str, most: int) -> "TextError":
        """The error for a text of more than ``most`` characters."""
        return cls(message, text=text, received=f"{len(text)} characters", expected=f"at most {most}")

    def caret(self) -> str:
        """The text with a caret under the offending character (two lines), or the text alone; of a long text a part."""
        if self.position is None:
            return shorten(self.text)
        start = max(0, self.position - QUOTED // 2) if len(self.text) > QUOTED else 0
        left = "... " if start else ""
        right = " ..." if start + QUOTED < len(self.text) else ""
        line = f"{left}{self.text[start : start + QUOTED]}{right}"
        return f"{line}\n{' ' * (self.position - start + len(left))}^"


class DataError(GrammarRAEError):
    """A file, folder or download that cannot be used as data."""


class CheckpointError(GrammarRAEError):
    """A saved model or training state that cannot be read or written."""


class TrainingError(GrammarRAEError):
    """A training that cannot continue: a loss that is not a number, or a state of another training."""


class DecodingError(GrammarRAEError):
    """A decoding that is impossible: no finite logit, an empty mask, a limit below the shortest derivation."""


class WorkerError(GrammarRAEError):
    """Processes or machines that were to work and cannot be reached, do not fit this one, or ended."""


class MissingExtraError(GrammarRAEError, ImportError):
    """An optional package that is needed but not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}, which is not installed",
            remedy=f"Install it with: python -m pip install 'grammar_rae[{extra}]'",
        )


class UnfamiliarWarning(UserWarning):
    """Texts contain what a model was not trained on."""
