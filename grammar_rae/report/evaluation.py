"""An evaluation as tables, in Markdown and as a page with the distributions drawn."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grammar_rae.report import Table, write_page
from grammar_rae.report.charts import line_chart

Figures = Mapping[str, Any]

MOST_DRAWN = 50
"""Molecules on the page."""

_AXES = {"logp": ("logP", "logP"), "sa": ("SA", "synthetic accessibility"), "qed": ("QED", "QED")}
_AXES |= {"weight": ("Weight", "g/mol")}


def evaluation_tables(figures: Figures) -> list[Table]:
    """The tables of what :func:`grammar_rae.evaluation.molecules.evaluate` found."""
    tables = [_draws(figures), _constraints(figures)]
    if figures["moses"].get("references"):
        tables.append(_references(figures))
    if figures["guacamol"]:
        tables.append(_guacamol(figures["guacamol"]))
    if figures["reconstruction"]:
        tables.append(_reconstruction(figures["reconstruction"]))
    return tables


def evaluation_markdown(figures: Figures) -> str:
    """The tables as Markdown."""
    lines = [f"# {_title(figures)}", "", *_facts_as_lines(figures), ""]
    for table in evaluation_tables(figures):
        lines += [f"## {table.title}", "", _line(table.head), _line(["---", *["---:"] * (len(table.head) - 1)])]
        lines += [_line(row) for row in table.rows]
        lines += ["", *([table.note, ""] if table.note else [])]
    if figures["remarks"]:
        lines += ["## Remarks", "", *(f"- {remark}" for remark in figures["remarks"]), ""]
    return "\n".join(lines)


def write_evaluation_page(path: str | os.PathLike[str], figures: Figures, molecules: Sequence[str]) -> None:
    """Write the page; a file of this name is replaced in one step or left as it was.

    Parameters
    ----------
    path
        The HTML file; its folder must exist.
    figures
        What was found.
    molecules
        Draws to show; the first of them are.

    Raises
    ------
    DataError
        When the folder does not exist or the file cannot be written.
    """
    charts = []
    for name, curves in figures["distributions"].items():
        title, axis = _AXES[name]
        sides = {side: (curves["x"], curve) for side, curve in curves.items() if side != "x"}
        charts.append(line_chart(sides, title=title, x_label=axis))
    write_page(
        path,
        title=_title(figures),
        molecules=list(molecules[:MOST_DRAWN]),
        facts=_facts(figures),
        remarks=figures["remarks"],
        tables=evaluation_tables(figures),
        charts=charts,
        heading="Distributions",
    )


def _title(figures: Figures) -> str:
    return f"Evaluation of {figures['recipe']} against {figures['reference']}"


def _facts(figures: Figures) -> dict[str, str | int | float]:
    draws = figures["moses"]
    facts: dict[str, str | int | float] = {
        "draws": f"{draws['attempts']:,}",
        "valid": _share(draws["validity"]),
        "novel": _share(draws.get("novelty")),
        "copies of training molecules": _share(draws.get("training_copies")),
        "constraint": figures["constraint"],
        "temperature": figures["temperature"],
        **({"top-p": figures["top_p"]} if figures.get("top_p", 1) < 1 else {}),
        **({"smoothing": figures["smoothing"]} if figures.get("smoothing") else {}),
        "density": figures["density"],
        "seed": figures["seed"],
    }
    for name, row in draws.get("references", {}).items():
        facts[f"FCD to {name}"] = f"{_number(row['fcd'])} (floor {_number(row['fcd_floor'])})"
    return facts


def _facts_as_lines(figures: Figures) -> list[str]:
    about = ", ".join(f"{name} {value}" for name, value in _facts(figures).items())
    return [f"{about}. Measured on {figures['date']}."]


def _draws(figures: Figures) -> Table:
    sets = {"draws": figures["moses"], "training set": figures.get("baseline")}
    sets = {name: row for name, row in sets.items() if row}
    names = {
        "valid": ("validity", _share),
        "different, of the first 1,000 valid": ("unique@1000", _number),
        "different, of the first 10,000 valid": ("unique@10000", _number),
        "novel, of the different": ("novelty", _share),
        "copies of training molecules, of the valid": ("training_copies", _share),
        "passing the filters": ("filters", _share),
        "IntDiv": ("int_div", _number),
        "IntDiv2": ("int_div2", _number),
    }
    rows = [[label, *(told(row.get(key)) for row in sets.values())] for label, (key, told) in names.items()]
    note = "Draws are raw: none was rejected. Figures below the first are of the valid ones, as MOSES takes them."
    return Table("MOSES: the set itself", ["", *sets], rows, note)


def _constraints(figures: Figures) -> Table:
    rows = [
        [
            name,
            f"{row['attempts']:,}",
            *(_share(row.get(key)) for key in ("validity", "unique", "novelty", "training_copies")),
        ]
        for name, row in figures["constraints"].items()
    ]
    head = ["constraint", "draws", "valid", "different", "novel", "copies"]
    note = "Different, and copies of training molecules: of the valid draws. Novel: of the different molecules."
    return Table("Raw validity under each constraint", head, rows, note)


def _references(figures: Figures) -> Table:
    baseline = (figures.get("baseline") or {}).get("references", {})
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
    columns: dict[str, Figures] = {}
    for name, row in figures["moses"]["references"].items():
        columns[f"draws, {name}"] = row
        if name in baseline:
            columns[f"training set, {name}"] = baseline[name]
    rows = [[label, *(told(row[key]) for row in columns.values())] for label, (key, told) in names.items()]
    note = (
        "FCD falls with the number of molecules. Its floor is the distance between molecules of the reference, drawn "
        "at random, and the rest of it: as many as there are valid draws, at most half of the reference."
    )
    return Table("MOSES: against the reference", ["", *columns], rows, note)


def _guacamol(found: Figures) -> Table:
    names = {
        "validity": "validity",
        "uniqueness": "uniqueness",
        "novelty": "novelty",
        "KL divergence score": "kl_score",
        "FCD score": "fcd_score",
        "FCD to the training set": "fcd",
        "FCD's floor": "fcd_floor",
    }
    rows = [[label, _number(found[key])] for label, key in names.items()]
    rows.append(["copies of training molecules, of the valid", _share(found["training_copies"])])
    rows.append(["draws needed", f"{found['attempts']:,}"])
    note = (
        "Against the training set, without stereochemistry. Uniqueness and novelty are shares of the molecules that "
        "were asked for; where ten times as many draws do not hold them, what is missing counts against the model."
    )
    return Table(f"GuacaMol: {found['n']:,} molecules", ["", "draws"], rows, note)


def _reconstruction(found: Figures) -> Table:
    rows = [
        ["molecules", f"{found['molecules']:,}"],
        ["refused by the codec", f"{found['refused']:,}"],
        ["exact, the likeliest text of each code", _share(found["greedy"])],
    ]
    note = "The likeliest: of all molecules; one that the codec refuses counts as not reconstructed."
    if "sampled" in found:
        rows.append(["exact, drawn", _share(found["sampled"])])
        note += (
            f" Drawn: of {found['sampled_molecules']:,} that the codec takes, each encoded {found['encodings']} times "
            f"with the encoder's noise and decoded {found['decodings']} times at temperature 1."
        )
    return Table(f"Reconstruction of {found['reference']}", ["", ""], rows, note)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _count(value: int) -> str:
    return f"{value:,}"
