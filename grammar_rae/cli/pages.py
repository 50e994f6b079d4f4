"""Pages with the drawn molecules, made from what the commands have at hand."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grammar_rae.model import SampleResult, TextModel

MOST_DRAWN = 1_000
"""A page of more molecules would be slow to open; the CSV file has them all."""


def write_samples_page(path: Path, model: "TextModel", result: "SampleResult", columns: Mapping[str, Any]) -> None:
    """A page of samples with their scores, how they were drawn, and how the model was trained."""
    scores = list(columns)[2:]
    facts: dict[str, str | int | float] = {
        "texts": len(result),
        "decoded for them": result.attempts,
        "raw validity": f"{result.validity:.1%}",
        "uniqueness": f"{result.uniqueness:.1%}",
        "constraint": result.constraint,
        "temperature": result.temperature,
        "top-p": result.top_p,
        **({"smoothing": result.smoothing} if result.smoothing else {}),
        **({"told as the codes read": ", ".join(result.echo)} if result.echo else {}),
        "seed": result.seed,
    }
    if len(result) > MOST_DRAWN:
        facts["shown here"] = f"the first {MOST_DRAWN}"
    values = {name: columns[name].tolist() for name in scores}
    _write(path, model, "Samples", result.texts, facts, values)


def write_path_page(path: Path, model: "TextModel", texts: Sequence[str]) -> None:
    """A page of the texts between two others."""
    _write(path, model, "Interpolation", texts, {"steps": len(texts)}, {"step": range(1, len(texts) + 1)})


def _write(
    path: Path,
    model: "TextModel",
    title: str,
    texts: Sequence[str],
    facts: dict[str, str | int | float],
    values: Mapping[str, Sequence[Any]],
) -> None:
    from grammar_rae.codecs import FORMS
    from grammar_rae.report import write_report
    from grammar_rae.report.training import curves_of

    write_report(
        path,
        title=title,
        molecules=texts[:MOST_DRAWN],
        values={name: column[:MOST_DRAWN] for name, column in values.items()},
        facts=facts | {"recipe": model.recipe_.name},
        curves=curves_of(model.history.rows),
        command=command_line(),
        kind="molecules" if FORMS[model.codec.form].molecules else "text",
    )


def command_line() -> str:
    """The command that runs, as somebody would type it again."""
    return shlex.join(["grammar-rae", *sys.argv[1:]])
