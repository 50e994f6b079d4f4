"""Grids of molecules as pictures, and what an analogue has changed."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from rdkit import Chem

from grammar_rae.chem import changed_atoms, picture
from grammar_rae.errors import DataError, InputError, TextError

PHENOL, ANISOLE = "Oc1ccccc1", "COc1ccccc1"


def test_what_differs_from_the_lead() -> None:
    changed = changed_atoms(PHENOL, ANISOLE)
    assert [Chem.MolFromSmiles(ANISOLE).GetAtomWithIdx(atom).GetSymbol() for atom in changed] == ["C"]
    assert changed_atoms(PHENOL, PHENOL) == ()
    assert len(changed_atoms("CCCC", "FF")) == 2
    with pytest.raises(TextError):
        changed_atoms("C", "C1CC")


def test_a_picture_marks_what_differs_and_is_written(tmp_path: Path) -> None:
    plain, marked = picture([ANISOLE, "CCO"], ["one", "two"]), picture([ANISOLE, "CCO"], ["one", "two"], lead=PHENOL)
    assert "#f2c14e" in marked.svg.lower() and "#f2c14e" not in plain.svg.lower()
    one = picture([ANISOLE], lead=PHENOL).svg
    assert one.rindex("<ellipse") < one.index("<path")  # letters lie above the marks
    assert plain._repr_svg_() == plain.svg
    plain.save(tmp_path / "a.svg")
    assert ElementTree.parse(tmp_path / "a.svg").getroot().get("viewBox") == "0 0 440 160"
    for found in (plain, marked):
        found.save(tmp_path / "a.png")
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one legend"):
        picture(["C"], [])
    with pytest.raises(InputError, match="list of SMILES"):
        picture("CC")
    with pytest.raises(InputError, match="SVG or PNG"):
        picture(["C"]).save(tmp_path / "a.gif")
    with pytest.raises(DataError):
        picture(["C"]).save(tmp_path / "none" / "a.svg")
    picture(["C1CC"]).save(tmp_path / "odd.png")  # what is not a molecule leaves its cell empty
