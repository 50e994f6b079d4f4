"""What the package does in two minutes: ``demo`` adapts the bundled model to ligands that it has not seen."""

import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from grammar_rae.cli import files, formats, terminal
from grammar_rae.cli.training import stop_if_interrupted
from grammar_rae.errors import UnfamiliarWarning

if TYPE_CHECKING:
    import pandas as pd

    from grammar_rae.model import TextModel

DATA = "data/gsk3b_ligands.csv.gz"
SECONDS = 100.0
SAMPLES = 1000
BEFORE = 300  # draws of the model that it begins with
ATTEMPTS = 20_000
RUN = "demo-run"
SCORES = ["qed", "logp", "sa"]
ALIKE = 0.6
"""From this Tanimoto similarity on, a draw counts as a neighbour of a ligand."""


class Figures(NamedTuple):
    """What the demo measures of a model."""

    validity: float
    exact: float
    neighbours: float
    new: float

    def rows(self) -> list[str]:
        """The figures, as they are read."""
        return [f"{value:.1%}" for value in self]


NAMES = (
    "raw validity of draws",
    "exact reconstruction of the ligands held out",
    f"draws with a Tanimoto similarity of {ALIKE} or more to a ligand",
    "draws that are not among the ligands",
)


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write in.")] = Path(),
) -> None:
    """Adapt the bundled model to ligands of a kinase."""
    import pandas as pd

    import grammar_rae
    from grammar_rae.model import TextModel
    from grammar_rae.resources import bundled_file, bundled_model

    output.mkdir(parents=True, exist_ok=True)
    table, page, run = output / "samples.csv", output / "samples.html", output / RUN
    files.check_writable(table, formats=formats.TABLES)
    files.check_writable(page, formats=formats.PAGES)
    ligands = pd.read_csv(bundled_file(DATA))
    train, held_out = (ligands.loc[ligands["split"] == part, "smiles"].tolist() for part in ("train", "test"))
    files.note("measuring the bundled model")
    start = TextModel.load(bundled_model())
    before, _ = measure(start, BEFORE, train, held_out)
    files.note(f"adapting it to {len(train)} ligands of GSK-3 beta, for at most {SECONDS:.0f} seconds")
    model = grammar_rae.train(train, folder=run, start=start, time_limit=SECONDS, progress=not terminal.is_quiet())
    stop_if_interrupted(model, run)
    files.note(f"drawing {SAMPLES:,} molecules")
    after, frame = measure(model, SAMPLES, train, held_out)
    files.write_frame(table, frame)
    write_demo_page(page, model, frame, before, after, len(train), len(held_out))
    lines = [
        f"{name:<{max(map(len, NAMES))}}  {one:>7}  {other:>7}"
        for name, one, other in zip(NAMES, before.rows(), after.rows(), strict=True)
    ]
    terminal.report(
        before=before._asdict(), after=after._asdict(), ligands=len(train), model=run, samples=table, page=page
    )
    terminal.say(
        "\n".join(["", f"{'':<{max(map(len, NAMES))}}   before    after", *lines])
        + f"""

written  {table}, {page}, and the model {run}

What to do next:
  open {page} in a browser
  grammar-rae sample -m {shlex.quote(str(run))} -n 10000 -o more.csv --scores qed,logp,sa
  grammar-rae train YOUR_MOLECULES.smi -o run"""
    )


def measure(model: "TextModel", n: int, train: list[str], held_out: list[str]) -> tuple[Figures, "pd.DataFrame"]:
    """The figures of a model, and n draws of it, those nearest to a ligand first."""
    import numpy as np

    from grammar_rae.chem import canonical, morgan
    from grammar_rae.metrics.similarity import nearest_similarity

    result = model.sample(n, seed=0, max_attempts=ATTEMPTS)
    ligands = [*train, *held_out]
    known = {canonical(text) for text in ligands}
    nearest = nearest_similarity(np.stack([morgan(text) for text in result.texts]), np.stack([*map(morgan, ligands)]))
    frame = result.to_frame(scores=SCORES).drop(columns="valid")
    frame["nearest_ligand"] = nearest
    frame["new"] = [text not in known for text in result.texts]
    with warnings.catch_warnings():  # a deuterium among the ligands is none of a newcomer's business
        warnings.simplefilter("ignore", UnfamiliarWarning)
        exact = model.reconstruction(held_out).share
    figures = Figures(result.validity, exact, float((nearest >= ALIKE).mean()), float(frame["new"].mean()))
    return figures, frame.sort_values("nearest_ligand", ascending=False, ignore_index=True)


def write_demo_page(
    path: Path, model: "TextModel", frame: "pd.DataFrame", before: Figures, after: Figures, n: int, n_held_out: int
) -> None:
    """A page of the figures before and after, and of new molecules, those nearest to a ligand first."""
    from grammar_rae.cli.pages import MOST_DRAWN, command_line
    from grammar_rae.report import Table, draw_charts, write_page
    from grammar_rae.report.training import curves_of

    shown = frame[frame["new"]].drop_duplicates("smiles").head(MOST_DRAWN)
    compared = Table(
        "Before and after",
        ["", "the bundled model", "adapted"],
        [[name, *both] for name, *both in zip(NAMES, before.rows(), after.rows(), strict=True)],
        f"Figures of {BEFORE} and of {SAMPLES:,} draws (seed 0), and of {n_held_out} ligands that were not trained on.",
    )
    start: Any = model.start_
    facts: dict[str, str | int | float] = {
        "ligands of GSK-3 beta": n,
        "held out": n_held_out,
        "begun with": f"the bundled {start['recipe']}",
        "trained for": f"{model.history.rows[-1]['seconds']:.0f} s",
        "smoothing": model.recipe_.smoothing,
        "shown": f"{len(shown)} new ones, those nearest to a ligand first",
    }
    write_page(
        path,
        title="A model adapted to ligands of GSK-3 beta",
        molecules=shown["smiles"].tolist(),
        values={
            "nearest ligand": shown["nearest_ligand"].round(2).tolist(),
            "SA": shown["sa"].round(1).tolist(),
            "QED": shown["qed"].round(2).tolist(),
        },
        facts=facts,
        tables=[compared],
        charts=draw_charts(curves_of(model.history.rows), "seconds"),
        command=command_line(),
    )
