"""An evaluation as tables, in Markdown and as a page with the distributions drawn."""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

from grammar_rae.evaluation import EvaluationFigures, Reconstruction
from grammar_rae.metrics import GuacaMol
from grammar_rae.report import Table, write_page
from grammar_rae.report.charts import line_chart

MOST_DRAWN = 50
"""How many molecules the page shows."""

_AXES = {"logp": ("logP", "logP"), "sa": ("SA", "synthetic accessibility"), "qed": ("QED", "QED")}
_AXES |= {"weight": ("Weight", "g/mol")}


def evaluation_tables(figures: EvaluationFigures) -> list[Table]:
    """The tables of an evaluation's figures."""
    tables = [_draws(figures), _constraints(figures)]
    if figures.moses.references:
        tables.append(_references(figures))
    if figures.guacamol is not None:
        tables.append(_guacamol(figures.guacamol))
    if figures.reconstruction is not None:
        tables.append(_reconstruction(figures.reconstruction))
    return tables


def evaluation_markdown(figures: EvaluationFigures) -> str:
    """The tables as Markdown."""
    about = ", ".join(f"{name} {value}" for name, value in _facts(figures).items())
    lines = [f"# {_title(figures)}", "", f"{about}. Measured on {figures.provenance.date}.", ""]
    for table in evaluation_tables(figures):
        lines += [f"## {table.title}", "", _line(table.head), _line(["---", *["---:"] * (len(table.head) - 1)])]
        lines += [_line(row) for row in table.rows]
        lines += ["", *([table.note, ""] if table.note else [])]
    if figures.remarks:
        lines += ["## Remarks", "", *(f"- {remark}" for remark in figures.remarks), ""]
    return "\n".join(lines)


def write_evaluation_page(
    path: str | os.PathLike[str], figures: EvaluationFigures, molecules: Sequence[str], command: str = ""
) -> None:
    """Write the page; a file of this name is replaced in one step or left as it was.

    Parameters
    ----------
    path, figures
        The HTML file, whose folder must exist, and what :func:`grammar_rae.evaluation.evaluate` found.
    molecules
        The draws; the page shows the first of them.
    command
        What makes the same page again, for the reader to copy.

    Raises
    ------
    DataError
        When the folder does not exist or the file cannot be written.
    """
    charts = []
    for name, found in figures.distributions.items():
        title, axis = _AXES[name]
        sides = {side: (found.x, heights) for side, heights in found.sides.items()}
        charts.append(line_chart(sides, title=title, x_label=axis))
    write_page(
        path,
        title=_title(figures),
        molecules=list(molecules[:MOST_DRAWN]),
        facts=_facts(figures),
        remarks=figures.remarks,
        tables=evaluation_tables(figures),
        charts=charts,
        heading="Distributions",
        command=command,
    )


def _title(figures: EvaluationFigures) -> str:
    return f"Evaluation of {figures.recipe} against {figures.reference}"


def _facts(figures: EvaluationFigures) -> dict[str, str | int | float]:
    draws = figures.moses.draws
    facts: dict[str, str | int | float] = {
        "draws": f"{draws.attempts:,}",
        "valid": _share(draws.validity),
        "novel": _share(draws.novelty),
        "copies of training molecules": _share(draws.training_copies),
        "constraint": figures.constraint,
        "temperature": figures.temperature,
        **({"top-p": figures.top_p} if figures.top_p < 1 else {}),
        **({"smoothing": figures.smoothing} if figures.smoothing else {}),
        **({"told as the codes read": ", ".join(figures.echo)} if figures.echo else {}),
        "density": figures.density,
        "seed": figures.seed,
    }
    for name, row in figures.moses.references.items():
        facts[f"FCD to {name}"] = f"{_number(row.fcd)} (floor {_number(row.fcd_floor)})"
    return facts


def _draws(figures: EvaluationFigures) -> Table:
    sets = {"draws": figures.moses} | ({"training set": figures.baseline} if figures.baseline is not None else {})
    every = sets.values()
    rows = [
        ["valid", *(_share(one.draws.validity) for one in every)],
        ["different, among the first 1,000 valid", *(_number(one.unique_at_1000) for one in every)],
        ["different, among the first 10,000 valid", *(_number(one.unique_at_10000) for one in every)],
        ["novel, among the different", *(_share(one.draws.novelty) for one in every)],
        ["copies of training molecules, among the valid", *(_share(one.draws.training_copies) for one in every)],
        ["passing the filters", *(_share(one.filters) for one in every)],
        ["IntDiv", *(_number(one.int_div) for one in every)],
        ["IntDiv2", *(_number(one.int_div2) for one in every)],
    ]
    note = "No draw was rejected. Figures below the first describe the valid draws, as in MOSES."
    return Table("MOSES: the set itself", ["", *sets], rows, note)


def _constraints(figures: EvaluationFigures) -> Table:
    rows = [
        [name, _count(row.attempts), *map(_share, (row.validity, row.unique, row.novelty, row.training_copies))]
        for name, row in figures.constraints.items()
    ]
    head = ["constraint", "draws", "valid", "different", "novel", "copies"]
    note = (
        "Different molecules, and copies of training molecules, are shares of the valid draws; novel molecules are a "
        "share of the different ones."
    )
    return Table("Raw validity under each constraint", head, rows, note)


def _references(figures: EvaluationFigures) -> Table:
    baseline = {} if figures.baseline is None else figures.baseline.references
    names: dict[str, tuple[str, Callable[[Any], str]]] = {
        "molecules": ("molecules", _count),
        "FCD": ("fcd", _number),
        "FCD's floor": ("fcd_floor", _number),
        "floor's molecules": ("fcd_floor_molecules", _count),
        "SNN": ("snn", _number),
        "Frag": ("frag", _number),
        "Scaf": ("scaf", _number),
        "W1 of logP": ("logp", _number),
        "W1 of SA": ("sa", _number),
        "W1 of QED": ("qed", _number),
        "W1 of weight": ("weight", _number),
    }
    columns = {}
    for name, row in figures.moses.references.items():
        columns[f"draws, {name}"] = row
        if name in baseline:
            columns[f"training set, {name}"] = baseline[name]
    rows = [[label, *(show(getattr(one, key)) for one in columns.values())] for label, (key, show) in names.items()]
    note = (
        "FCD falls with the number of molecules. Its floor is the distance between molecules of the reference, drawn "
        "at random, and the rest of it: as many as there are valid draws, at most half of the reference."
    )
    return Table("MOSES: against the reference", ["", *columns], rows, note)


def _guacamol(found: GuacaMol) -> Table:
    rows = [
        ["validity", _number(found.validity)],
        ["uniqueness", _number(found.uniqueness)],
        ["novelty", _number(found.novelty)],
        ["KL divergence score", _number(found.kl_score)],
        ["FCD score", _number(found.fcd_score)],
        ["FCD to the training set", _number(found.fcd)],
        ["FCD's floor", _number(found.fcd_floor)],
        ["copies of training molecules, among the valid", _share(found.training_copies)],
        ["draws needed", _count(found.attempts)],
    ]
    note = (
        "Against the training set, without stereochemistry. Uniqueness and novelty are shares of the number of "
        "molecules wanted; where ten times as many draws do not hold them, the missing ones count against the model."
    )
    return Table(f"GuacaMol: {found.n:,} molecules", ["", "draws"], rows, note)


def _reconstruction(found: Reconstruction) -> Table:
    rows = [
        ["molecules", _count(found.molecules)],
        ["refused by the codec", _count(found.refused)],
        ["exact, the likeliest text of each code", _share(found.greedy)],
    ]
    if found.unpolished is not None:
        rows.append(["the same, codes as the encoder gives them", _share(found.unpolished)])
    note = "The likeliest text: a share of all molecules; those that the codec refuses count as not reconstructed."
    if found.sampled is not None:
        rows.append(["exact, drawn", _share(found.sampled)])
        note += (
            f" Drawn: {found.sampled_molecules:,} molecules that the codec takes, each encoded {found.encodings} times "
            f"with the encoder's noise and decoded {found.decodings} times at temperature 1."
        )
    return Table(f"Reconstruction of {found.reference}", ["", ""], rows, note)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _share(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"


def _count(value: int) -> str:
    return f"{value:,}"
