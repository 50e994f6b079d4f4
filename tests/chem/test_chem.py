"""grammar_rae.chem: reading, canonical, Kekulé and aromatic forms, fragments, descriptors, drawing."""

import gzip
import pickle
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem, RDConfig

from grammar_rae import chem
from grammar_rae.chem import descriptors
from grammar_rae.errors import DataError, InputError, TextError, UnknownNameError

ROOT = Path(__file__).resolve().parents[2]
ZINC = ROOT.parent / "shared" / "data" / "zinc250k.smi.gz"
MOSES = ROOT / "data" / "moses_sample.smi.gz"

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"

# Molecules whose aromaticity, charge, isotopes or stereochemistry could be lost on the way.
DELICATE = [
    ASPIRIN,
    "C",
    "*c1ccccc1",
    "c1cc[n-]c1",
    "[O-][n+]1ccccc1",
    "c1cc[cH+]ccc1",
    "c1ccc2cccc2cc1",
    "b1ccccc1",
    "c1cc[se]c1",
    "[13cH]1ccccc1",
    "c1ccccc1[C@H](F)/C=C/c1ccncc1",
    "F/C=C/c1ccccc1/C=C\\Cl",
    "C(=C/c1ccccc1)\\c1ccccc1",
    "c1ccc(/N=N/c2ccccc2)cc1",
    "[H]/N=C(/N)c1ccccc1",
    "C[S@](=O)c1ccccc1",
    "[2H]c1ccccc1[3H]",
    "[c]1ccccc1",
    "C[n+]1cccc(C(=O)[O-])c1",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "c1ccc2c(c1)[nH]c1ccccc12",
    "C1=CC=CC=CC=CC=CC=CC=CC=CC=C1",
    "c1cc2cc3ccc(cc4ccc(cc5ccc(cc1n2)[nH]5)n4)[nH]3",
]

# text -> part of the message, index of the character that it points to
REFUSED: dict[str, tuple[str, int | None]] = {
    "": ("empty", None),
    " \t ": ("empty", None),
    "CC(C)(C)(C)C": ("Explicit valence for atom # 1 C, 5, is greater than permitted", None),
    "c1cccc1": ("Can't kekulize mol", None),
    "cc": ("non-ring atom 0 marked aromatic", None),
    "C1CC": ("unclosed ring", None),
    "C11": ("duplicated ring closure 1 bonds atom 0 to itself", None),
    "hello": ("syntax error near character 1", 0),
    "C==C": ("syntax error near character 3", 2),
    "  CC)": ("extra close parentheses near character 3", 4),
    "CC(": ("syntax error", 2),
    "[Xx]": ("syntax error", 1),
    "CCO ethanol": ("cannot contain blanks", 3),
    "CCO\nCCC": ("cannot contain blanks", 3),
    "éC": ("cannot contain character 'é'", 0),  # RDKit alone reads this as methane
    "C\u2212C": ("cannot contain character", 1),
    "C\x00": ("cannot contain character", 1),
    "C" * (chem.MAX_CHARACTERS + 1): ("too long", None),
}


def rows_of(path: Path, every: int) -> list[str]:
    if not path.is_file():
        pytest.skip(f"{path.name} is not here")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [line.split()[0] for i, line in enumerate(lines) if i % every == 0]


def shuffled(smiles: str, seed: int) -> str:
    """The same molecule, written from another atom and in another order."""
    molecule = Chem.MolFromSmiles(smiles)
    order = list(range(molecule.GetNumAtoms()))
    random.Random(seed).shuffle(order)
    return str(Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False))


def assert_kekule(smiles: str) -> None:
    form = chem.kekule(smiles)
    assert chem.canonical(form) == chem.canonical(smiles)
    assert chem.kekule(form) == form
    assert chem.aromatic(form) == chem.aromatic(smiles)
    assert not any(atom.GetIsAromatic() for atom in Chem.MolFromSmiles(form, sanitize=False).GetAtoms()), form


# ---- forms


@pytest.mark.parametrize("smiles", DELICATE)
def test_kekule_form_is_the_same_molecule_without_aromatic_atoms(smiles: str) -> None:
    assert_kekule(smiles)


@pytest.mark.parametrize(("path", "every"), [(ZINC, 122), (MOSES, 50)], ids=["zinc", "moses"])
def test_kekule_form_on_real_molecules(path: Path, every: int) -> None:
    rows = rows_of(path, every)
    assert len(rows) >= 1000
    for row in rows:
        assert_kekule(row)


@pytest.mark.parametrize("smiles", DELICATE[:-1])  # of porphine RDKit itself has several Kekulé structures
def test_forms_do_not_depend_on_the_order_of_atoms(smiles: str) -> None:
    others = [shuffled(smiles, seed) for seed in range(5)]
    assert {chem.kekule(other) for other in others} == {chem.kekule(smiles)}
    assert {chem.canonical(other) for other in others} == {chem.canonical(smiles)}


def test_examples_of_each_form() -> None:
    assert chem.canonical("OCC") == "CCO"
    assert chem.canonical("C1=CC=CC=C1.Cl") == "Cl.c1ccccc1"
    assert chem.kekule("c1ccccc1") == "C1=CC=CC=C1"
    assert chem.kekule("c1cc[nH]c1") == "C1=CNC=C1"
    assert chem.aromatic("C1=CC=CC=C1") == "c1ccccc1"
    assert chem.kekule("[H]C([H])([H])O") == "CO"
    assert chem.canonical(" CCO\n") == "CCO"


@pytest.mark.parametrize("form", [chem.canonical, chem.kekule, chem.aromatic])
def test_marks_of_atoms_are_kept(form: object) -> None:
    assert callable(form)
    written = form("[13CH3:7][C@@H]([NH3+])/C=C/[O-]")
    # What a codec writes has no maps; the canonical form is everybody's.
    assert ("[13CH3:7]" if form is chem.canonical else "[13CH3]") in written
    assert "[NH3+]" in written and "[O-]" in written
    assert "@" in written and "/C=C/" in written


# ---- texts that are no molecules


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:12]))
def test_refusal_has_the_reason_and_the_place(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    reason, position = REFUSED[text]
    for form in (chem.canonical, chem.kekule, chem.aromatic, chem.logp):
        with pytest.raises(TextError) as caught:
            form(text)
        assert reason in str(caught.value)
        assert caught.value.position == position
        assert caught.value.text == text
        assert len(str(caught.value)) < 400
    assert not chem.is_valid(text)
    assert chem.canonical_or_none(text) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", [None, float("nan"), 3, b"CCO"])
def test_a_value_that_is_no_text_is_refused_like_a_bad_text(value: object) -> None:
    with pytest.raises(TextError, match=f"must be a string.*{type(value).__name__}"):
        chem.kekule(value)  # type: ignore[arg-type]
    assert not chem.is_valid(value)  # type: ignore[arg-type]
    assert chem.canonical_or_none(value) is None  # type: ignore[arg-type]


@given(st.text(max_size=12) | st.text("CcNnO()[]=#12@H+-./\\% ", max_size=16))
def test_any_text_is_read_or_refused_alike_by_all(text: str) -> None:
    try:
        smiles = chem.canonical(text)
    except TextError:
        assert not chem.is_valid(text)
        assert chem.canonical_or_none(text) is None
    else:
        assert chem.is_valid(text)
        assert chem.canonical_or_none(text) == smiles
        assert chem.is_valid(chem.kekule(text, fragments="keep"))


def test_a_molecule_that_rdkit_cannot_write_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("Invariant\n\tViolation")

    monkeypatch.setattr("grammar_rae.chem.smiles.Chem.MolToSmiles", fail)
    with pytest.raises(TextError, match="cannot write this molecule: Invariant Violation"):
        chem.kekule("CCO")
    assert chem.canonical_or_none("CCO") is None


def test_errors_travel_between_processes() -> None:
    with pytest.raises(TextError) as caught:
        chem.kekule("CC.O")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert copy.position == 2


# ---- fragments


def test_fragments_are_refused_unless_asked_for() -> None:
    for form in (chem.kekule, chem.aromatic):
        with pytest.raises(TextError, match=r"contains 3 molecules.*fragments='largest'.*fragments='keep'") as caught:
            form("CC.O.[Na+]")
        assert caught.value.position == 2


def test_largest_fragment_has_most_heavy_atoms_then_weight_then_comes_first() -> None:
    assert chem.kekule("c1ccccc1.[I-].CCCl", fragments="largest") == "C1=CC=CC=C1"
    assert chem.kekule("CCO.CCF.CCC", fragments="largest") == "CCF"
    assert chem.kekule("COC.CCO", fragments="largest") == chem.kekule("CCO.COC", fragments="largest") == "CCO"
    assert chem.aromatic("c1ccccc1.Cl", fragments="largest") == "c1ccccc1"


def test_all_fragments_are_kept_on_request() -> None:
    assert chem.kekule("c1ccccc1.Cl", fragments="keep") == "C1=CC=CC=C1.Cl"
    assert chem.aromatic("C1=CC=CC=C1.Cl", fragments="keep") == chem.canonical("c1ccccc1.Cl")


@pytest.mark.parametrize("fragments", chem.FRAGMENTS)
def test_a_dot_inside_one_molecule_is_no_fragment(fragments: str) -> None:
    assert chem.kekule("C1.C1", fragments=fragments) == "CC"


def test_unknown_treatment_of_fragments_lists_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match="keep, largest, refuse"):
        chem.kekule("CCO", fragments="all")


# ---- the log


def test_rdkits_log_is_silent_inside_and_untouched_outside(capfd: pytest.CaptureFixture[str]) -> None:
    chem.qed("[H]")  # RDKit warns about a hydrogen atom without neighbours
    chem.is_valid("c1ccc")
    assert capfd.readouterr() == ("", "")
    Chem.MolFromSmiles("c1ccc")
    assert "unclosed ring" in capfd.readouterr().err


def test_the_reason_is_this_texts_though_another_is_read_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    read: Any = Chem.MolFromSmiles

    def meanwhile(text: str, **options: bool) -> object:
        read("hello")  # as if by another thread, into the same log
        return read(text, **options)

    monkeypatch.setattr("grammar_rae.chem.smiles.Chem.MolFromSmiles", meanwhile)
    with pytest.raises(TextError, match="SMILES: unclosed ring;"):
        chem.canonical("C1CC")


def test_threads_keep_the_log_silent(capfd: pytest.CaptureFixture[str]) -> None:
    wrong: list[str] = []

    def read(text: str, reason: str) -> None:
        for _ in range(100):
            try:
                chem.kekule(text)
            except TextError as error:
                if reason not in str(error):
                    wrong.append(str(error))

    pairs = [("hello", "near character 1"), ("CC)", "extra close"), ("C1CC", "unclosed"), ("C=O=C", "atom # 1 O")]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that the threads meet in the middle of each other's calls
    try:
        threads = [threading.Thread(target=read, args=pair) for pair in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert capfd.readouterr() == ("", "")
    Chem.MolFromSmiles("c1ccc")
    assert "unclosed ring" in capfd.readouterr().err


# ---- descriptors


def test_descriptors_of_aspirin() -> None:
    assert chem.weight(ASPIRIN) == pytest.approx(180.159, abs=1e-3)
    assert chem.logp(ASPIRIN) == pytest.approx(1.3101, abs=1e-4)
    assert chem.qed(ASPIRIN) == pytest.approx(0.5501, abs=1e-4)
    assert chem.sa(ASPIRIN) == pytest.approx(1.58, abs=0.01)
    assert chem.heavy_atoms(ASPIRIN) == 13
    assert chem.rings(ASPIRIN) == 1


@pytest.mark.parametrize("name", chem.DESCRIPTORS)
def test_descriptors_are_numbers_of_the_molecule_not_of_its_text(name: str) -> None:
    function = chem.DESCRIPTORS[name]
    for smiles in DELICATE:
        value = function(smiles)
        assert type(value) is float
        assert function(chem.kekule(smiles)) == pytest.approx(value)
    with pytest.raises(TextError):
        function("not a molecule")


def test_sa_score_says_what_an_installation_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors._sa_scorer.cache_clear()
    monkeypatch.setattr(RDConfig, "RDContribDir", str(tmp_path))
    with pytest.raises(DataError, match=r"SA_Score.sascorer\.py.*pip install rdkit"):
        chem.sa("CCO")
    monkeypatch.undo()
    assert 1 <= chem.sa("CCO") <= 10


# ---- drawing


def elements(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter())


def words(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg) if element.tag.endswith("}text")]


@pytest.mark.parametrize("smiles", [*DELICATE, "[Na+].[Cl-]", "[Fe+2].c1cc[cH-]c1.c1cc[cH-]c1", "C~C"])
def test_drawing_can_stand_in_any_page(smiles: str) -> None:
    svg = chem.svg(smiles, size=(200, 150))
    tree = elements(svg)
    assert tree[0].get("viewBox") == "0 0 200 150"
    assert any(element.tag.endswith("}path") for element in tree)
    assert not {"id", "class", "href", "style"} & {name for element in tree for name in element.keys()}  # noqa: SIM118
    assert not {element.tag.split("}")[1] for element in tree} & {"script", "style", "image", "use"}
    assert "#000000" not in svg  # black is the page's own colour of text
    assert svg == chem.svg(smiles, size=(200, 150))


def test_drawing_shows_the_elements_in_their_colours() -> None:
    assert "#e0402f" in chem.svg("CO").lower()
    assert "#e0402f" not in chem.svg("CN").lower()


def test_legend_is_escaped_and_fits() -> None:
    assert words(chem.svg("CC", legend="a < b & 'c'")) == ["a < b & 'c'"]
    (short,) = words(chem.svg("CC", legend="x" * 300))
    assert short.endswith("…") and len(short) < 40


@pytest.mark.parametrize("text", ["", "</svg><script>alert(1)</script>", "C1CC", "\x00\x1f", "'\"&"])
def test_a_text_that_is_no_molecule_gives_a_box_that_says_so(text: str) -> None:
    assert "not a molecule" in words(chem.svg(text))
    assert "<script" not in chem.svg(text, legend=text)


def test_a_molecule_too_large_to_draw_says_how_large() -> None:
    assert "600 atoms" in words(chem.svg("C" * 600))


def test_grid_has_every_molecule_in_its_cell() -> None:
    texts = ["C", "CC", "x", "CCC", "CCCC"]
    grid = chem.svg_grid(texts, legends=[f"no. {i}" for i in range(5)], columns=3, size=(100, 80))
    tree = elements(grid)
    assert tree[0].get("viewBox") == "0 0 300 160"
    cells = [element.get("transform") for element in tree if element.get("transform")]
    assert cells == [f"translate({x} {y})" for x, y in [(0, 0), (100, 0), (200, 0), (0, 80), (100, 80)]]
    assert [element.text for element in tree if element.tag.endswith("}title")] == texts
    assert [word for word in words(grid) if word.startswith("no.")] == [f"no. {i}" for i in range(5)]
    assert elements(chem.svg_grid([]))[0].get("viewBox") == "0 0 220 160"


@pytest.mark.parametrize(
    "call",
    [
        lambda: chem.svg("C", size=(10, 100)),
        lambda: chem.svg_grid(["C"], columns=0),
        lambda: chem.svg_grid(["C"], legends=["a", "b"]),
        lambda: chem.svg_grid("CCO"),
    ],
)
def test_drawing_refuses_arguments_without_sense(call: object) -> None:
    assert callable(call)
    with pytest.raises(InputError):
        call()


# ---- imports


def test_scores_and_report_import_no_rdkit() -> None:
    code = "import sys, grammar_rae.scores, grammar_rae.report; sys.exit('rdkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
