"""Draw the molecules of the gallery: ``python docs/figures/draw_gallery.py``, a minute or two with the bundled model.

Each picture shows what one call gives with seed 0, in its own order and with nothing picked by hand.
"""

from collections.abc import Sequence
from pathlib import Path

from rdkit.Chem import Mol, MolFromSmarts, MolFromSmiles
from rdkit.Chem.AllChem import Compute2DCoords, GenerateDepictionMatching2DStructure
from rdkit.Chem.Draw import rdMolDraw2D

import grammar_rae

HERE = Path(__file__).parent
COLUMNS, WIDTH, HEIGHT, SHOWN = 4, 220, 170, 12
LEAD = "COc1ccc(NC(=O)C2CCCCC2)cc1"
TEMPLATE, SCAFFOLD = "c1cc([*:1])ccc1C(=O)N[*:2]", "c1ccccc1C(=O)N"
PIECES = "c1ccccc1[*:1].[*:1]N1CCOCC1"
ENDS = ("CC(=O)Nc1ccc(O)cc1", "CC(C)Cc1ccc(C(C)C(=O)O)cc1")


def draw(name: str, texts: Sequence[str], legends: Sequence[str], scaffold: str | None = None) -> None:
    """A grid of molecules, those with a scaffold laid out alike and with it marked."""
    molecules = [MolFromSmiles(text) for text in texts]
    marked: list[Sequence[int]] = [()] * len(molecules)
    if scaffold is not None:
        pattern: Mol = MolFromSmarts(scaffold)
        laid_out: Mol = MolFromSmiles(scaffold)
        Compute2DCoords(laid_out)
        marked = [molecule.GetSubstructMatch(pattern) for molecule in molecules]
        for molecule in molecules:
            GenerateDepictionMatching2DStructure(molecule, laid_out, acceptFailure=True)
    rows = -(-len(molecules) // COLUMNS)
    canvas = rdMolDraw2D.MolDraw2DCairo(COLUMNS * WIDTH, rows * HEIGHT, WIDTH, HEIGHT)
    canvas.drawOptions().legendFontSize = 15
    canvas.drawOptions().setHighlightColour((0.72, 0.89, 0.86))
    canvas.DrawMolecules(molecules, legends=list(legends), highlightAtoms=[list(atoms) for atoms in marked])
    canvas.FinishDrawing()
    (HERE / f"gallery-{name}.png").write_bytes(canvas.GetDrawingText())


def main() -> None:
    """Draw all of them."""
    model = grammar_rae.load("molecules")
    found = model.decorate(TEMPLATE, SHOWN, pool=4, seed=0)
    draw("decorated", found["smiles"], [f"{value:.1f} nats" for value in found["log_prob"]], SCAFFOLD)
    found = model.link(PIECES, SHOWN, seed=0)
    draw("linked", found["smiles"], found["linker"])
    found = model.analogues(LEAD, SHOWN - 1, 0.6, seed=0)
    legends = ["the lead", *(f"similarity {value:.2f}" for value in found["similarity"])]
    draw("analogues", [LEAD, *found["smiles"]], legends)
    path = list(dict.fromkeys(model.interpolate(*ENDS, steps=4 * SHOWN, smoothing=0.3, seed=0)))
    draw("path", path, [f"step {number}" for number in range(1, len(path) + 1)])


if __name__ == "__main__":
    main()
