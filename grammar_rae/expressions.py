"""Arithmetic expressions in one variable: values, equivalence, and a data set.

The meaning of a text is the one that Python gives it, with its precedence: ``1+2*x`` is ``1+(2*x)``, although the
bundled grammar, which has no precedence, derives it as ``(1+2)*x``. The text is parsed here; Python never sees it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from grammar_rae.errors import InputError, TextError

#: The longest expression that is evaluated. Open parentheses take memory.
MAX_CHARACTERS = 10_000

#: The 1,000 points on which expressions are compared (Kusner, Paige and Hernández-Lobato, ICML 2017); 0 is not one.
GRID: NDArray[np.float64] = np.linspace(-10.0, 10.0, 1000)
GRID.flags.writeable = False

# As in Python, a whole number has no leading zero.
_BLANKS = " \t"
_TOKEN = re.compile(r"[ \t]*([0-9]+\.[0-9]*|\.[0-9]+|0+|[1-9][0-9]*|(?:(?:sin|exp)[ \t]*)?\(|[-+*/)x])")

# A step of a program in postfix order: a number, None for the variable, or a function and the number of its arguments.
_Operation = tuple[Callable[..., Any], int]
_Step = np.float64 | None | _Operation

_OPENINGS: dict[str, _Operation | None] = {"(": None, "sin(": (np.sin, 1), "exp(": (np.exp, 1)}
_BINARY: dict[str, _Operation] = {
    "+": (np.add, 2),
    "-": (np.subtract, 2),
    "*": (np.multiply, 2),
    "/": (np.divide, 2),
}
_MINUS = "minus"
_OPERATORS: dict[str, _Operation] = {**_BINARY, _MINUS: (np.negative, 1)}
_BINDING = {**dict.fromkeys(_OPENINGS, 0), "+": 1, "-": 1, "*": 2, "/": 2, _MINUS: 3}


def evaluate(text: str, x: ArrayLike) -> NDArray[np.float64]:
    """The values of an expression.

    Parameters
    ----------
    text
        Numbers without an exponent, ``x``, ``+ - * /``, the unary minus, parentheses, ``sin(``, ``exp(`` and blanks.
        ``/`` is the true division.
    x
        Values of the variable, of any shape.

    Returns
    -------
    array
        float64, in the shape of ``x``. Arithmetic is that of float64: a division by zero or an overflow gives inf or
        nan, without a warning.

    Raises
    ------
    TextError
        When the text is not such an expression, or is longer than ``MAX_CHARACTERS``.
    """
    return _run(_parse(text), np.asarray(x, dtype=np.float64))


def are_equivalent(texts: Iterable[str], of: str) -> NDArray[np.bool_]:
    """Tell which of N texts are the same function as ``of``: equal on ``GRID`` up to rounding (a relative 1e-9).

    Where one is nan or infinite, the other must be so too. A text that is not an expression is equivalent to none.

    Returns
    -------
    array
        bool, (N,).

    Raises
    ------
    TextError
        When ``of`` is not an expression.
    """
    if isinstance(texts, str):
        raise InputError("texts must be a list of strings", received=repr(texts), expected=f"[{texts!r}]")
    target = _parse(of)
    # Most texts differ from the target in a few points, so the rest of the grid is not computed for them.
    grids = [(grid, _run(target, grid)) for grid in (GRID[::111], GRID)]
    return np.array([_agrees(text, grids) for text in texts], dtype=np.bool_)


def expression_set() -> list[str]:
    """The 122,880 strings ``A op B + U + V`` of the grammar, such as ``1/3+(x)+sin(x*x)``.

    ``A`` and ``B`` are one of ``x 1 2 3``, ``op`` one of ``+ * /``; ``U`` is a leaf, alone or in ``( )``, ``sin( )`` or
    ``exp( )``; ``V`` is a leaf, or a leaf or ``A op B`` in one of the three. Each has 7 to 19 characters and 8 to 14
    productions.

    The first 100,000 are the published set, in its order (Kusner, Paige and Hernández-Lobato, "Grammar Variational
    Autoencoder", ICML 2017; there with blanks between the symbols). The usual target of searches among expressions,
    ``1/3+x+sin(x*x)``, is the function of ``1/3+(x)+sin(x*x)``, which is one of the last rows of that set; find such
    rows with :func:`are_equivalent`.
    """
    leaves = "x123"
    pairs = [f"{a}{op}{b}" for op, a, b in product("+*/", leaves, leaves)]
    enclosed = [f"{opening}{leaf})" for opening in ("(", "sin(", "exp(") for leaf in leaves]
    last = [f"{opening}{inner})" for opening in ("(", "sin(", "exp(") for inner in [*pairs, *leaves]]
    return [f"{pair}+{u}+{v}" for pair, u, v in product(pairs, [*enclosed, *leaves], [*last, *leaves])]


def _agrees(text: str, grids: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> bool:
    try:
        program = _parse(text)
    except TextError:
        return False
    return all(_are_close(_run(program, x), y) for x, y in grids)


def _are_close(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    with np.errstate(all="ignore"):
        close = np.abs(one - other) < 1e-12 + 1e-9 * np.abs(other)
    # Infinite values and nan need another look; np.allclose takes several times longer.
    return bool(close.all() or np.all(close | (one == other) | (np.isnan(one) & np.isnan(other))))


def _parse(text: str) -> list[_Step]:
    """The expression in postfix order, by operator precedence; an explicit stack allows any depth of nesting."""
    if not isinstance(text, str):
        raise TextError("an expression must be a string", text=str(text), received=f"{text!r}, a {type(text).__name__}")
    if len(text) > MAX_CHARACTERS:
        raise TextError.too_long("the expression is too long", text, MAX_CHARACTERS)
    program: list[_Step] = []
    waiting: list[str] = []
    operand_next = True
    for symbol, at in _symbols(text):
        if operand_next:
            if symbol in _OPENINGS:
                waiting.append(symbol)
            elif symbol == "-":
                waiting.append(_MINUS)
            elif symbol in _BINARY or symbol == ")":
                raise _syntax_error(text, at, operand_next)
            else:
                program.append(None if symbol == "x" else np.float64(symbol))
                operand_next = False
        elif symbol in _BINARY:
            _release(program, waiting, _BINDING[symbol])
            waiting.append(symbol)
            operand_next = True
        elif symbol == ")" and _release(program, waiting):
            if (function := _OPENINGS[waiting.pop()]) is not None:
                program.append(function)
        else:
            raise _syntax_error(text, at, operand_next)
    if operand_next:
        raise _syntax_error(text, len(text), operand_next)
    if _release(program, waiting):
        raise TextError("a parenthesis of the expression is never closed", text=text, position=len(text))
    return program


def _symbols(text: str) -> Iterator[tuple[str, int]]:
    """The symbols of a text and where each begins."""
    at, end = 0, len(text.rstrip(_BLANKS))
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            at += len(text[at:]) - len(text[at:].lstrip(_BLANKS))
            raise TextError(f"unexpected character {text[at]!r} in an expression", text=text, position=at)
        symbol = found.group(1)
        yield (symbol if symbol[-1] != "(" else symbol[:-1].rstrip(_BLANKS) + "("), found.start(1)
        at = found.end()


def _release(program: list[_Step], waiting: list[str], binding: int = 1) -> bool:
    """Write the waiting operators that bind at least as strongly; return whether any are left."""
    while waiting and _BINDING[waiting[-1]] >= binding:
        program.append(_OPERATORS[waiting.pop()])
    return bool(waiting)


def _syntax_error(text: str, at: int, operand_next: bool) -> TextError:
    expected = "a number, x or an opening parenthesis" if operand_next else "an operator or the end"
    if not text.strip():
        return TextError("the expression is empty", text=text, position=at, expected=expected)
    what = f"{text[at]!r}" if at < len(text) else "the end"
    return TextError(f"unexpected {what} in an expression", text=text, position=at, expected=expected)


def _run(program: list[_Step], x: NDArray[np.float64]) -> NDArray[np.float64]:
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for step in program:
            if step is None:
                values.append(x)
            elif isinstance(step, tuple):
                function, arguments = step
                values[-arguments:] = [function(*values[-arguments:])]
            else:
                values.append(step)
    # A copy: the text may be "x", and a constant has one value for all.
    return np.array(np.broadcast_to(values[0], x.shape), dtype=np.float64)
