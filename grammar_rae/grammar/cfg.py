"""Context-free grammars as immutable values.

The notation is NLTK's (``S -> A 'b' | 'c'``, the first left-hand side is the start symbol); NLTK reads it, and nothing
after that needs NLTK: a :class:`Grammar` goes to and from JSON by itself.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from grammar_rae.errors import GrammarError, InputError, UnknownNameError
from grammar_rae.grammar.rules import Rules
from grammar_rae.resources import bundled_file, bundled_names


class Production(NamedTuple):
    """One production. A symbol ``s >= 0`` is the nonterminal ``s``; a symbol ``s < 0`` is the terminal ``~s``."""

    lhs: int
    rhs: tuple[int, ...]

    @property
    def children(self) -> tuple[int, ...]:
        """The nonterminals of the right-hand side, from the left."""
        return tuple(symbol for symbol in self.rhs if symbol >= 0)


@dataclass(frozen=True)
class Grammar:
    """A context-free grammar: symbols as numbers, names beside them.

    Attributes
    ----------
    name
        The name shown to users; not part of the fingerprint.
    nonterminals, terminals
        The names, in the order of their numbers.
    productions
        In the order of the file: the index of a production is its token.
    start
        The number of the start symbol.
    """

    name: str
    nonterminals: tuple[str, ...]
    terminals: tuple[str, ...]
    productions: tuple[Production, ...]
    start: int

    @classmethod
    def from_productions(
        cls, name: str, start: str, productions: Iterable[tuple[str, Iterable[tuple[bool, str]]]]
    ) -> "Grammar":
        """Build a grammar from ``(lhs, [(is_terminal, symbol), ...])`` pairs.

        A nonterminal without productions is allowed (the paper's molecule grammar has one): rules that need it can
        never be completed, and :attr:`rules` marks them.

        Raises
        ------
        GrammarError
            When there are no productions, duplicate productions, an empty terminal, a symbol that UTF-8 cannot encode,
            or a start symbol that derives no text.
        """
        listed = [(lhs, tuple(rhs)) for lhs, rhs in productions]
        if not listed:
            raise GrammarError("a grammar needs at least one production", where=name)
        for production, times in Counter(listed).items():
            if times > 1:
                raise GrammarError("duplicate production", received=_show(*production), where=name)
        nonterminals = dict.fromkeys(lhs for lhs, _ in listed)
        nonterminals.update(dict.fromkeys(symbol for _, rhs in listed for terminal, symbol in rhs if not terminal))
        terminals = dict.fromkeys(symbol for _, rhs in listed for terminal, symbol in rhs if terminal)
        if "" in terminals:
            raise GrammarError(
                "a terminal cannot be the empty string", where=name, remedy="Write an empty right-hand side."
            )
        try:
            "".join((*nonterminals, *terminals)).encode()
        except UnicodeEncodeError as error:
            raise GrammarError(f"a symbol cannot be encoded as UTF-8 ({error.reason})", where=name) from error
        if start not in nonterminals:
            raise GrammarError("the start symbol has no production", received=start, where=name)
        number = {symbol: index for index, symbol in enumerate(nonterminals)}
        spelled = {symbol: ~index for index, symbol in enumerate(terminals)}
        grammar = cls(
            name=name,
            nonterminals=tuple(nonterminals),
            terminals=tuple(terminals),
            productions=tuple(
                Production(number[lhs], tuple(spelled[s] if terminal else number[s] for terminal, s in rhs))
                for lhs, rhs in listed
            ),
            start=number[start],
        )
        if not grammar.rules.is_productive(grammar.start):
            raise GrammarError("the start symbol derives no text", received=start, where=name)
        return grammar

    @classmethod
    def from_text(cls, text: str, name: str = "grammar") -> "Grammar":
        """Read NLTK's CFG notation.

        Raises
        ------
        GrammarError
            When NLTK cannot read the text, and as in :meth:`from_productions`.
        """
        from nltk import CFG, Nonterminal

        try:
            read = CFG.fromstring(text)
        except ValueError as error:
            raise GrammarError(
                f"cannot read the grammar in NLTK's notation ({error})",
                where=name,
                expected="lines like: S -> A 'b' | 'c'",
            ) from error
        return cls.from_productions(
            name,
            str(read.start()),
            (
                (str(p.lhs()), [(not isinstance(symbol, Nonterminal), str(symbol)) for symbol in p.rhs()])
                for p in read.productions()
            ),
        )

    def without(self, terminal: str) -> "Grammar":
        """The same grammar without the productions that contain ``terminal``."""
        return Grammar.from_productions(
            self.name,
            self.nonterminals[self.start],
            (pair for pair in self._named_productions() if (True, terminal) not in pair[1]),
        )

    @property
    def size(self) -> int:
        """The number of productions."""
        return len(self.productions)

    @cached_property
    def rules(self) -> Rules:
        """The productions as arrays, for stacks, masks and budgets."""
        return Rules.build(
            [p.lhs for p in self.productions],
            [p.children for p in self.productions],
            len(self.nonterminals),
            self.start,
        )

    @cached_property
    def text(self) -> str:
        """The grammar in NLTK's notation, one production a line, the start symbol's first."""
        lines = [_show(*pair) for pair in self._named_productions()]
        return f"%start {self.nonterminals[self.start]}\n" + "\n".join(lines) + "\n"

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of :attr:`text`: the same for two grammars whose tokens mean the same."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def show(self, production: int) -> str:
        """One production in NLTK's notation."""
        return _show(*self._named_productions()[production])

    def to_dict(self) -> dict[str, Any]:
        """The grammar as a JSON-compatible dictionary."""
        return {
            "name": self.name,
            "start": self.nonterminals[self.start],
            "productions": [
                [lhs, [[terminal, symbol] for terminal, symbol in rhs]] for lhs, rhs in self._named_productions()
            ],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Grammar":
        """The grammar that :meth:`to_dict` wrote; NLTK is not needed.

        Raises
        ------
        GrammarError
            When ``data`` does not describe a grammar.
        """
        try:
            name, start = str(data["name"]), str(data["start"])
            productions = [
                (str(lhs), [(bool(terminal), str(symbol)) for terminal, symbol in rhs])
                for lhs, rhs in data["productions"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise GrammarError(f"cannot rebuild a grammar from these data ({error!r})") from error
        return cls.from_productions(name, start, productions)

    def _named_productions(self) -> list[tuple[str, tuple[tuple[bool, str], ...]]]:
        return [
            (
                self.nonterminals[p.lhs],
                tuple((s < 0, self.terminals[~s] if s < 0 else self.nonterminals[s]) for s in p.rhs),
            )
            for p in self.productions
        ]


def _show(lhs: str, rhs: Iterable[tuple[bool, str]]) -> str:
    def quote(terminal: str) -> str:
        return f'"{terminal}"' if "'" in terminal else f"'{terminal}'"

    return " ".join([lhs, "->", *(quote(symbol) if terminal else symbol for terminal, symbol in rhs)])


def read_grammar(source: str | Path) -> Grammar:
    """The bundled grammar of that name, or the grammar in that file.

    Parameters
    ----------
    source
        A name such as ``"smiles"``, ``"zinc"`` or ``"expressions"``, or the path of a file in NLTK's CFG notation.

    Raises
    ------
    UnknownNameError
        For a name that is neither bundled nor a file.
    GrammarError
        For a file without a grammar.
    """
    if not isinstance(source, str | Path):
        raise InputError("this is no grammar's name", received=repr(source), expected="a name or the path of a file")
    path = Path(source)
    if path.suffix != ".cfg" and not _is_file(path):
        names = bundled_names("grammars", ".cfg")
        if str(source) not in names:
            raise UnknownNameError("grammar", str(source), names, "`grammar-rae list grammars`")
        path = bundled_file(f"grammars/{source}.cfg")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # bytes that are not UTF-8, a path that no file can have
        raise GrammarError(f"cannot read the grammar file ({error})", where=str(path)) from error
    return Grammar.from_text(text, name=path.stem)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # longer than a name can be, for example the text of a grammar instead of its name
        return False
