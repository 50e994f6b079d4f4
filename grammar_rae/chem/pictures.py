"""Grids of molecules as pictures: shown by a notebook, written as SVG or PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from rdkit import Chem

from grammar_rae.chem.drawing import prepare_grid, svg_grid
from grammar_rae.chem.log import quiet
from grammar_rae.chem.smiles import molecule
from grammar_rae.errors import InputError
from grammar_rae.files import explain_write_errors, write_bytes, write_text

SECONDS = 2
"""How long two molecules are compared at most; what is found by then counts."""


@dataclass(frozen=True)
class Picture:
    """A grid of molecules; a notebook shows it.

    Attributes
    ----------
    texts, legends
        N SMILES, and a line under each; no legends where None.
    columns, size
        The cells side by side, and the width and height of one in pixels.
    highlights
        Atoms of each that are marked; no marks where None.
    """

    texts: tuple[str, ...]
    legends: tuple[str, ...] | None = None
    columns: int = 4
    size: tuple[int, int] = (220, 160)
    highlights: tuple[tuple[int, ...], ...] | None = None

    @property
    def svg(self) -> str:
        """The picture as one ``<svg>`` element."""
        return svg_grid(self.texts, self.legends, self.columns, self.size, self.highlights)

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | PathLike[str]) -> None:
        """Write the picture; the suffix says how, ``.svg`` or ``.png`` (white background).

        Raises
        ------
        InputError
            For another suffix.
        DataError
            When the file cannot be written.
        """
        target = Path(path)
        writers = {".svg": lambda: write_text(target, self.svg), ".png": lambda: write_bytes(target, self._png())}
        if target.suffix.lower() not in writers:
            raise InputError("pictures are written as SVG or PNG", received=str(path), expected=" or ".join(writers))
        with explain_write_errors("the picture", received=str(target), remedy="Name a file in an existing folder."):
            writers[target.suffix.lower()]()

    @quiet
    def _png(self) -> bytes:
        """RDKit's own drawing of the grid; an invalid SMILES leaves its cell empty but for its legend."""
        width, height, columns, rows = prepare_grid(self.texts, self.legends, self.columns, self.size)
        from rdkit.Chem.Draw import rdMolDraw2D

        canvas = rdMolDraw2D.MolDraw2DCairo(columns * width, rows * height, width, height)
        options: Any = canvas.drawOptions()
        options.fixedBondLength = 30
        found = [Chem.MolFromSmiles(text) or Chem.Mol() for text in self.texts]
        marked = None if self.highlights is None else [list(atoms) for atoms in self.highlights]
        canvas.DrawMolecules(found, legends=list(self.legends or [""] * len(found)), highlightAtoms=marked)
        canvas.FinishDrawing()
        drawn: bytes = canvas.GetDrawingText()
        return drawn


@quiet
def changed_atoms(lead: str, text: str) -> tuple[int, ...]:
    """The atoms of a molecule, by their places in its SMILES, that are no part of what it has in common with a lead.

    What two molecules have in common is their largest common connected substructure, of the same elements, bonds and
    whole rings, as far as it is found in :data:`SECONDS`.

    Raises
    ------
    TextError
        For a text that is not a molecule.
    """
    from rdkit.Chem import rdFMCS

    one, other = molecule(lead), molecule(text)
    found = rdFMCS.FindMCS([one, other], timeout=SECONDS, ringMatchesRingOnly=True, completeRingsOnly=True)
    pattern = Chem.MolFromSmarts(found.smartsString) if found.numAtoms else None
    common = set(other.GetSubstructMatch(pattern)) if pattern is not None else set()
    return tuple(atom for atom in range(other.GetNumAtoms()) if atom not in common)


def picture(
    texts: Sequence[str],
    legends: Sequence[str] | None = None,
    columns: int = 4,
    size: tuple[int, int] = (220, 160),
    lead: str | None = None,
) -> Picture:
    """A picture of molecules; with a lead, what differs from it is marked.

    Raises
    ------
    InputError
        When the numbers of legends and texts differ, or a size or number of columns is invalid.
    TextError
        With a lead, for a text that is not a molecule.
    """
    prepare_grid(texts, legends, columns, size)
    marks = None if lead is None else tuple(changed_atoms(lead, text) for text in texts)
    return Picture(tuple(texts), None if legends is None else tuple(legends), columns, size, marks)
