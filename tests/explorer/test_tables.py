"""What is saved is what other programs read."""

import io

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from grammar_rae.chem import canonical
from grammar_rae.chem.molblocks import sdf
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.explorer.tables import sort_rows, write_file

FRAME = pd.DataFrame(
    {
        "smiles": ["CCO", "c1ccccc1", "CC(C)N"],
        "name": ["=cmd()", "ring", ""],
        "layer": ["Your rows", "Draws", "Draws"],
        "qed": [0.5, np.nan, 0.25],
    }
)


def test_a_csv_file_is_read_back_and_holds_no_formula():
    file = write_file(FRAME, "csv")
    found = pd.read_csv(io.StringIO(file.text), keep_default_na=False, na_values={"qed": [""]})
    assert found["smiles"].tolist() == FRAME["smiles"].tolist()
    np.testing.assert_array_equal(found["qed"], FRAME["qed"])
    assert found["name"].tolist() == ["'=cmd()", "ring", ""]


def test_an_sdf_file_is_read_back_by_rdkit_with_names_fields_and_coordinates():
    file = write_file(FRAME, "sdf")
    found = list(Chem.ForwardSDMolSupplier(io.BytesIO(file.text.encode())))
    assert [canonical(Chem.MolToSmiles(one)) for one in found] == [canonical(text) for text in FRAME["smiles"]]
    assert [one.GetProp("_Name") for one in found] == ["=cmd()", "ring", "CC(C)N"]
    assert [one.HasProp("qed") for one in found] == [1, 0, 1]
    assert float(found[0].GetProp("qed")) == 0.5
    assert not found[0].GetConformer().Is3D() and found[0].GetConformer().GetPositions().any()


def test_what_stands_in_a_field_cannot_end_its_record():
    text, refused = sdf(["CCO", "CC"], ["a\nb", "$$$$"], {"no>te<": ["$$$$\n\n> <x>", "fine"]})
    found = list(Chem.ForwardSDMolSupplier(io.BytesIO(text.encode())))
    assert not refused and len(found) == 2
    assert list(found[1].GetPropNames()) == ["no te "]


def test_what_is_no_molecule_is_left_out_of_sdf_and_counted():
    file = write_file(pd.DataFrame({"smiles": ["CCO", "nonsense"], "layer": ["x", "x"]}), "sdf")
    assert file.text.count("$$$$") == 1 and "1 molecules" in file.note and "left out" in file.note
    with pytest.raises(InputError, match="none of the selected"):
        write_file(pd.DataFrame({"smiles": ["x+y"], "layer": ["x"]}), "sdf")


def test_rows_are_sorted_with_those_without_a_value_last():
    assert sort_rows(FRAME, "qed", False)["smiles"].tolist() == ["CC(C)N", "CCO", "c1ccccc1"]
    assert sort_rows(FRAME, "qed", True)["smiles"].tolist() == ["CCO", "CC(C)N", "c1ccccc1"]
    assert sort_rows(FRAME, None, False) is FRAME


@pytest.mark.parametrize(("frame", "kind", "error"), [(FRAME[:0], "csv", InputError), (FRAME, "exe", UnknownNameError)])
def test_nothing_and_unknown_formats_are_refused(frame, kind, error):
    with pytest.raises(error):
        write_file(frame, kind)


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(InputError):
        sdf(["CCO"], columns={"x": [1, 2]})
    with pytest.raises(UnknownNameError):
        sort_rows(FRAME, "nothing", True)
