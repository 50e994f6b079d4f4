"""Molecules as self-contained SVG for any page: without scripts, identifiers, classes or style sheets.

The black of bonds and carbon is written as ``currentColor`` and the other elements' colours are of middle brightness,
so that one drawing is readable on light and dark pages; the background is transparent.
"""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule
from grammar_rae.errors import InputError, TextError

_SPACE = "http://www.w3.org/2000/svg"
_FONT = "system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif"
_LEGEND_HEIGHT = 20
_MONOSPACE = "ui-monospace,Menlo,Consolas,monospace"
# Mean widths of a letter at 12 px, an estimate by which text is shortened.
_LETTER = {_FONT: 6.2, _MONOSPACE: 7.3}
_MOST_ATOMS = 400  # the time of a layout grows with the cube of the atoms: 0.1 s here, 15 s at 2,000

# Contrast of at least 3 to 1 on white and on near-black alike.
_COLOURS = {
    6: "#000000",
    1: "#7a7f87",
    7: "#3f7fee",
    8: "#e0402f",
    9: "#2e9e4f",
    15: "#d0711b",
    16: "#a98200",
    17: "#2e9e4f",
    35: "#b0603a",
    53: "#9a4bd0",
}

_MARK = "#f2c14e"

_BODY = re.compile(r"<!-- END OF HEADER -->(.*)</svg>", re.DOTALL)
_PATH = re.compile(r"<path ((?:[\w-]+='[^']*'\s*)+)/>")
_SPACED = re.compile(r" ?([A-Z]) ?")
_ATTRIBUTE = re.compile(r"([\w-]+)='([^']*)'")


@quiet
def svg(text: str, size: tuple[int, int] = (220, 160), legend: str | None = None) -> str:
    """One molecule as an ``<svg>`` element; an invalid SMILES becomes a box that says so.

    Parameters
    ----------
    text
        A SMILES; it is also the drawing's tooltip and its name for screen readers.
    size
        Width and height in pixels, the legend included.
    legend
        A line under the molecule, shortened to its width.

    Raises
    ------
    InputError
        When the size is too small for a drawing.
    """
    width, height = _check_size(size)
    return _element(_cell(text, width, height, legend), width, height, f"Structure of {text}")


@quiet
def svg_grid(
    texts: Sequence[str],
    legends: Sequence[str] | None = None,
    columns: int = 4,
    size: tuple[int, int] = (220, 160),
    highlights: Sequence[Sequence[int]] | None = None,
) -> str:
    """Several molecules as one ``<svg>`` element, row by row; ``size`` is that of one cell.

    ``highlights`` are the atoms of each that are marked.

    Raises
    ------
    InputError
        When the numbers of legends and texts differ, or a size or number of columns is invalid.
    """
    width, height, columns, rows = prepare_grid(texts, legends, columns, size)
    cells = [
        f"<g transform='translate({i % columns * width} {i // columns * height})'>"
        + _cell(text, width, height, legends[i] if legends else None, highlights[i] if highlights else ())
        + "</g>"
        for i, text in enumerate(texts)
    ]
    return _element("".join(cells), columns * width, rows * height, f"Structures of {len(texts)} molecules")


def prepare_grid(
    texts: Sequence[str], legends: Sequence[str] | None, columns: int, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The width and height of a cell, and the columns and rows of a grid.

    Raises
    ------
    InputError
        When the numbers of legends and texts differ, or a size or number of columns is invalid.
    """
    width, height = _check_size(size)
    if isinstance(texts, str):
        raise InputError("texts must be a list of SMILES", received=repr(texts), expected=f"[{texts!r}]")
    if legends is not None and len(legends) != len(texts):
        raise InputError(
            "every molecule needs one legend", received=f"{len(legends)} legends", expected=str(len(texts))
        )
    if columns < 1:
        raise InputError("a grid needs at least one column", received=f"columns={columns}", expected="1 or more")
    columns = min(columns, max(len(texts), 1))
    return width, height, columns, max(-(-len(texts) // columns), 1)


def _check_size(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    if width < 40 or height < 40:
        raise InputError("the drawing is too small", received=f"size={size}", expected="at least 40 by 40 pixels")
    return int(width), int(height)


def _element(body: str, width: int, height: int, name: str) -> str:
    return (
        f"<svg xmlns='{_SPACE}' width='{width}' height='{height}' viewBox='0 0 {width} {height}' role='img' "
        f"aria-label='{_escape(name)}'>{body}</svg>"
    )


def _cell(text: str, width: int, height: int, legend: str | None, marked: Sequence[int] = ()) -> str:
    """The contents of one drawing, legend and tooltip included."""
    room = height if legend is None else max(height - _LEGEND_HEIGHT, height // 2)
    try:
        mol = molecule(text)
    except TextError:
        body = _box("not a molecule", text, width, room)
    else:
        atoms = mol.GetNumAtoms()
        large = atoms > _MOST_ATOMS
        body = _box(f"{atoms:,} atoms", text, width, room) if large else _strokes(mol, width, room, marked)
    if legend is not None:
        # A base line 0.3 em below the middle of the strip centres the letters.
        body += _label(legend, width, (room + height) / 2 + 3.6)
    return f"<g><title>{_escape(text)}</title><rect width='{width}' height='{height}' fill='none'/>{body}</g>"


def _strokes(mol: Any, width: int, height: int, marked: Sequence[int] = ()) -> str:
    """RDKit's drawing of a molecule with some atoms and the bonds between them marked, without RDKit's frame."""
    from rdkit.Chem.Draw import rdMolDraw2D

    canvas = rdMolDraw2D.MolDraw2DSVG(width, height)
    options: Any = canvas.drawOptions()
    options.clearBackground = False
    options.includeMetadata = False
    options.padding = 0.06
    options.fixedBondLength = 30  # pixels at most: small molecules do not fill the cell
    options.minFontSize = 8
    options.updateAtomPalette({number: _rgb(colour) for number, colour in _COLOURS.items()})
    options.setHighlightColour(_rgb(_MARK))
    options.highlightBondWidthMultiplier = 6
    chosen = set(marked)
    bonds = [b.GetIdx() for b in mol.GetBonds() if {b.GetBeginAtomIdx(), b.GetEndAtomIdx()} <= chosen]
    try:
        rdMolDraw2D.PrepareAndDrawMolecule(canvas, mol, highlightAtoms=list(marked), highlightBonds=bonds)
    except (ValueError, RuntimeError):  # rare bonding that RDKit cannot prepare is drawn as it is
        canvas.ClearDrawing()
        options.prepareMolsBeforeDrawing = False
        canvas.DrawMolecule(mol)
    canvas.FinishDrawing()
    found = _BODY.search(canvas.GetDrawingText())
    return _join_paths(found.group(1)) if found else ""


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _join_paths(drawing: str) -> str:
    """Join RDKit's paths of equal style: a third of the bytes, and no class names."""
    alike: dict[str, list[str]] = {}

    def take(found: re.Match[str]) -> str:
        given = dict(_ATTRIBUTE.findall(found.group(1)))
        style = dict(part.split(":") for part in given.get("style", "").split(";") if ":" in part)
        fill = given.get("fill", style.get("fill", "none"))
        look = f"fill='{fill}'"
        if "stroke" in style:
            look += f" stroke='{style['stroke']}' stroke-width='{style.get('stroke-width', '1').removesuffix('px')}'"
        alike.setdefault(look, []).append(_SPACED.sub(r"\1", " ".join(given["d"].split())))
        return ""

    rest = _PATH.sub(take, drawing)
    rest = re.sub(r" class='[^']*'", "", rest).strip()
    paths = "".join(f"<path {look} d='{''.join(lines)}'/>" for look, lines in alike.items())
    return (rest + paths).replace("#000000", "currentColor")  # marks lie below the letters


def _box(why: str, text: str, width: int, height: int) -> str:
    """The box that replaces a drawing that cannot be made."""
    return (
        f"<rect x='6' y='6' width='{width - 12}' height='{height - 12}' rx='8' fill='none' stroke='#c2570c' "
        "stroke-dasharray='5 4'/>"
        + _label(why, width, height / 2 - 2, "#c2570c")
        + _label(text, width, height / 2 + 16, "#7a7f87", _MONOSPACE)
    )


def _label(text: str, width: int, y: float, colour: str = "currentColor", font: str = _FONT) -> str:
    most = max(int((width - 24) / _LETTER[font]), 3)
    line = " ".join(text.split())
    line = line if len(line) <= most else line[: most - 1] + "…"
    return (
        f"<text x='{width / 2:g}' y='{y:g}' font-size='12' text-anchor='middle' fill='{colour}' "
        f'font-family="{font}">{_escape(line)}</text>'
    )


def _escape(text: str) -> str:
    """Escape a text for an element or an attribute, without the control characters that XML forbids."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text)), quote=True)
