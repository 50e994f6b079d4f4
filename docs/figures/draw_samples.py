"""Draw the picture at the top of the README: molecules of the bundled model, with nothing picked by hand.

``python docs/figures/draw_samples.py`` draws 200 molecules with seed 0 and keeps the twelve with the lowest SA score
(synthetic accessibility, lower is easier), at most one per Murcko scaffold, so that the picture shows twelve different
ring systems. No molecule that is a copy of a bundled training molecule is shown.
"""

from pathlib import Path

from rdkit.Chem import MolFromSmiles
from rdkit.Chem.Draw import rdMolDraw2D

import grammar_rae
from grammar_rae.chem import canonical, scaffold
from grammar_rae.datasets import read_texts

DRAWS, SEED, COLUMNS, ROWS = 200, 0, 4, 3
WIDTH, HEIGHT = 250, 190
KNOWN = Path(__file__).parents[2] / "data" / "moses_sample.smi.gz"
PICTURE = Path(__file__).with_name("samples-molecules.png")


def choose() -> list[tuple[str, float]]:
    """SMILES and SA score of the molecules to show, easiest to make first."""
    known = {canonical(text) for _, text in read_texts(KNOWN)}
    frame = grammar_rae.sample(DRAWS, model="molecules", seed=SEED).to_frame(scores=["sa"]).sort_values("sa")
    chosen: dict[str, tuple[str, float]] = {}
    for smiles, sa in zip(frame["smiles"], frame["sa"], strict=True):
        if smiles not in known:
            chosen.setdefault(scaffold(smiles), (smiles, float(sa)))
    return list(chosen.values())[: COLUMNS * ROWS]


def main() -> None:
    """Draw the picture, and list what is in it."""
    chosen = choose()
    canvas = rdMolDraw2D.MolDraw2DCairo(COLUMNS * WIDTH, ROWS * HEIGHT, WIDTH, HEIGHT)
    canvas.drawOptions().legendFontSize = 15
    canvas.DrawMolecules([MolFromSmiles(smiles) for smiles, _ in chosen], legends=[f"SA {sa:.2f}" for _, sa in chosen])
    canvas.FinishDrawing()
    PICTURE.write_bytes(canvas.GetDrawingText())
    for smiles, sa in chosen:
        print(f"{sa:.2f}  {smiles}")


if __name__ == "__main__":
    main()
