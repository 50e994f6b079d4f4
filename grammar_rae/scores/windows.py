"""Windows: conditions on scores, written as text, as in ``"250 <= weight <= 400 and logp < 4 and alerts == 0"``.

The language has names of scores and of properties, numbers, the six comparisons, which may be chained, ``and``, ``or``,
``not`` and parentheses. It is parsed by Python's own parser, and nothing is executed: a text that has anything else is
refused.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from grammar_rae.errors import InputError, TextError, UnknownNameError

LONGEST = 1_000
"""Characters of a window, at most."""

_LARGEST = 1e100  # of a number; a whole number may be too large for a float

_COMPARISONS: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}


def functions() -> dict[str, Callable[[str], float]]:
    """What windows may speak of: name -> function of one molecule."""
    from grammar_rae.chem.alerts import CATALOGUES, alerts
    from grammar_rae.chem.filters import filter_matches
    from grammar_rae.chem.properties import PROPERTIES, properties
    from grammar_rae.scores import SCORES

    found: dict[str, Callable[[str], float]] = {
        name: row.function for name, row in SCORES.items() if name.isidentifier() and not row.standardizes
    }
    found |= {name: lambda text, name=name: float(properties(text, (name,))[0]) for name in PROPERTIES}  # type: ignore[misc]
    found |= {name: lambda text, name=name: float(len(alerts(text, name))) for name in CATALOGUES}  # type: ignore[misc]
    found["alerts"] = lambda text: float(len(alerts(text)))
    found["moses_filters"] = lambda text: float(len(filter_matches(text)))
    return found


@dataclass(frozen=True)
class Window:
    """A condition on the scores of a molecule.

    Attributes
    ----------
    text
        As it was written.

    Raises
    ------
    InputError
        For a text that is not a condition; the error shows where.
    UnknownNameError
        For a name that is no score.
    """

    text: str
    _tree: ast.expr = field(init=False, repr=False, compare=False)
    _functions: Mapping[str, Callable[[str], float]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise InputError("a window must be a condition", received=repr(self.text), expected="'logp < 4'")
        if len(self.text) > LONGEST:
            raise InputError("the window is too long", received=f"{len(self.text)} characters", expected=f"{LONGEST}")
        try:
            tree = ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self._refuse("the window cannot be read", (getattr(error, "offset", None) or 1) - 1) from error
        object.__setattr__(self, "_tree", tree)
        object.__setattr__(self, "_functions", functions())
        self._check(tree)

    def _refuse(self, message: str, position: int) -> InputError:
        text = self.text.strip()
        start = max(0, position - 40)
        shown = text[start : position + 40]
        return InputError(
            f"{message} at character {position + 1}",
            received=f"\n  {shown}\n  {' ' * (position - start)}^\n",
            expected="comparisons of scores with numbers, joined by and, or, not",
        )

    def _check(self, node: ast.AST) -> None:
        """Raise unless a part is a condition."""
        if isinstance(node, ast.BoolOp):
            for part in node.values:
                self._check(part)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._check(node.operand)
        elif isinstance(node, ast.Compare):
            for operation in node.ops:
                if type(operation) not in _COMPARISONS:
                    raise self._refuse("this is not a comparison of numbers", node.col_offset)
            for part in (node.left, *node.comparators):
                self._check_value(part)
        else:
            raise self._refuse("this is not a condition", getattr(node, "col_offset", 0))

    def _check_value(self, node: ast.expr) -> None:
        if isinstance(node, ast.Name):
            if node.id not in self._functions:
                raise UnknownNameError("score", node.id, self._functions)
        elif _number(node) is None:
            raise self._refuse("this is neither a score nor a number", node.col_offset)

    def has(self, text: str) -> bool:
        """Whether a molecule fulfils the condition; one without the scores does not."""
        try:
            return self._holds(self._tree, text, {})
        except TextError:
            return False

    def _holds(self, node: ast.expr, text: str, known: dict[str, float]) -> bool:
        if isinstance(node, ast.BoolOp):
            every = all if isinstance(node.op, ast.And) else any
            return every(self._holds(part, text, known) for part in node.values)
        if isinstance(node, ast.UnaryOp):
            return not self._holds(node.operand, text, known)
        assert isinstance(node, ast.Compare)
        values = [self._value(part, text, known) for part in (node.left, *node.comparators)]
        pairs = zip(node.ops, values, values[1:], strict=False)
        return all(_COMPARISONS[type(operation)](one, other) for operation, one, other in pairs)

    def _value(self, node: ast.expr, text: str, known: dict[str, float]) -> float:
        number = _number(node)
        if number is not None:
            return number
        assert isinstance(node, ast.Name)
        if node.id not in known:
            known[node.id] = float(self._functions[node.id](text))
        return known[node.id]

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """The range of each score that every molecule of the window lies in, as far as comparisons with numbers say.

        Only what all of the window's conditions joined by ``and`` say counts; where they contradict each other, the
        lower end is above the upper one.
        """
        parts = [self._tree]
        while any(isinstance(part, ast.BoolOp) and isinstance(part.op, ast.And) for part in parts):
            flat: list[ast.expr] = []
            for part in parts:
                flat += part.values if isinstance(part, ast.BoolOp) and isinstance(part.op, ast.And) else [part]
            parts = flat
        found: dict[str, tuple[float, float]] = {}
        for part in parts:
            if not isinstance(part, ast.Compare):
                continue
            sides = [part.left, *part.comparators]
            for operation, one, other in zip(part.ops, sides, sides[1:], strict=False):
                kind = type(operation)
                number = _number(other)
                if not isinstance(one, ast.Name):
                    one, number, kind = other, _number(one), _TURNED.get(kind, kind)
                if not isinstance(one, ast.Name) or number is None or kind is ast.NotEq:
                    continue
                low, high = found.get(one.id, (-math.inf, math.inf))
                if kind in (ast.Gt, ast.GtE, ast.Eq):
                    low = max(low, number)
                if kind in (ast.Lt, ast.LtE, ast.Eq):
                    high = min(high, number)
                found[one.id] = (low, high)
        return found


def _number(node: ast.expr) -> float | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        number = _number(node.operand)
        return None if number is None else -number if isinstance(node.op, ast.USub) else number
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return None
    return float(node.value) if abs(node.value) < _LARGEST else None
