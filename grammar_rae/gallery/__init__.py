"""Texts as cards that a reader sorts, filters, enlarges, copies and saves, and tables of facts; in pages and notebooks.

What comes out is a fragment of HTML with its own style and one small script. It asks for nothing from any host, and
where no script may run, it still shows every card.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.gallery.look import fragment

__all__ = ["MOLECULES", "PICTURES", "facts_table", "gallery", "kind_of", "show_number"]

MOLECULES = "molecules"
"""The kind of texts that are SMILES."""

_BREAKS = re.compile(r"(?<=[-+*/()])(?=.)")


def gallery(
    texts: Sequence[str],
    values: Mapping[str, Sequence[Any]] | None = None,
    *,
    legends: Sequence[str] | None = None,
    kind: str = "molecules",
    columns: int = 5,
) -> Markup:
    """The texts as cards, in this order.

    Parameters
    ----------
    texts
        N SMILES, or other texts; what is not a molecule is shown as text.
    values
        Name -> N numbers (NaN or None for none) or texts: lines of the cards; by the numbers cards are sorted and
        filtered.
    legends
        N further lines.
    kind
        A row of :data:`PICTURES`.
    columns
        The most cards side by side; a narrow window has fewer.

    Raises
    ------
    InputError
        Where there is not one value or legend for each text, or no column.
    UnknownNameError
        For a kind that does not exist.
    """
    values = dict(values or {})
    if kind not in PICTURES:
        raise UnknownNameError("kind of report", kind, PICTURES)
    for what, given in (("legends", legends), *values.items()):
        if given is not None and len(given) != len(texts):
            raise InputError(
                f"a report needs one of {what} for each text", received=f"{len(given)}", expected=str(len(texts))
            )
    if columns < 1:
        raise InputError("the grid of a report needs a column", received=f"columns={columns}", expected="1 or more")
    numeric = [name for name, column in values.items() if all(_is_number(value) for value in column)]
    legends = [""] * len(texts) if legends is None else legends
    picture = PICTURES[kind]
    cards = [
        {
            "text": text,
            "picture": picture(text),
            "legend": legends[i],
            "lines": [(name, show_number(column[i])) for name, column in values.items()],
        }
        for i, text in enumerate(texts)
    ]
    table = {
        "texts": list(texts),
        "columns": {name: [_plain(value, name in numeric) for value in column] for name, column in values.items()},
        "numeric": numeric,
    }
    return Markup(
        fragment("cards").render(
            cards=cards, molecules=kind == MOLECULES, columns=columns, numeric=numeric, data=_as_script(table)
        )
    )


def facts_table(facts: Mapping[str, Any], title: str = "") -> Markup:
    """Names and values as a small table, in their order."""
    shown = {name: show_number(value) for name, value in facts.items()}
    return Markup(fragment("facts").render(title=title, facts=shown))


def kind_of(texts: Sequence[str]) -> str:
    """The kind of texts that nobody named: ``"molecules"`` where each is one, else ``"text"``."""
    from grammar_rae.chem import is_valid

    return MOLECULES if all(map(is_valid, texts)) else "text"


def show_number(value: Any) -> str:
    """A value as a reader wants it: four figures, thousands apart, and nothing for what is missing."""
    if value is None:
        return "none"
    if not _is_number(value) or isinstance(value, int):
        return str(value)
    number = float(value)
    if not math.isfinite(number):
        return "none"
    return f"{number:,.0f}" if abs(number) >= 10_000 else f"{number:.4g}"


def _is_number(value: Any) -> bool:
    if value is None:
        return True
    return not isinstance(value, bool | str) and hasattr(value, "__float__")


def _plain(value: Any, number: bool) -> Any:
    """A value as JSON has it."""
    if not number:
        return "" if value is None else str(value)
    return None if value is None or not math.isfinite(float(value)) else float(value)


def _as_script(table: Any) -> Markup:
    """JSON that no text in it can break out of."""
    text = json.dumps(table, ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _draw_molecule(text: str) -> Markup:
    from grammar_rae.chem import svg  # here, so that a page of expressions needs no RDKit

    return Markup(svg(text))  # it comes escaped


def _show_text(text: str) -> Markup:
    # Where it is too wide it breaks behind an operator or a bracket rather than inside a name.
    return Markup("<code>{}</code>").format(Markup("<wbr>").join(_BREAKS.split(text)))


PICTURES: dict[str, Callable[[str], Markup]] = {MOLECULES: _draw_molecule, "text": _show_text}
"""Kind of texts -> the picture of one."""
