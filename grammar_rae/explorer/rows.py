"""The layers that a page begins with: the training data, a file's rows, and the model's own draws."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from grammar_rae.codecs import codec_from_dict
from grammar_rae.datasets import TokenDataset, find_column, read_rows
from grammar_rae.errors import GrammarRAEError
from grammar_rae.explorer.jobs import Progress
from grammar_rae.explorer.layers import Codes, Layer
from grammar_rae.model import DATA_FOLDER

MOST_ROWS = 50_000
"""The most rows of a file that are read."""

NAME_COLUMNS = ("name", "id", "title", "compound", "compound_id", "molecule_id", "chembl_id", "molecule_chembl_id")
"""The names of columns of names, the preferred one first."""

_CHUNK = 500


class Refused(NamedTuple):
    """A row of a file that has no code: its line, its text and the reason."""

    line: int
    text: str
    reason: str


class FileRows(NamedTuple):
    """What a file holds: usable texts with their lines and names, the rows that are not, and how many were not read."""

    lines: list[int]
    texts: list[str]
    names: list[str]
    refused: list[Refused]
    left_out: int


def read_file(path: Path, column: str | None = None, most: int = MOST_ROWS) -> FileRows:
    """The rows of a file, with the names beside the texts; the first ``most`` of them.

    Raises
    ------
    DataError
        For a file that cannot be read.
    """
    names = _read_names(path, column)
    found = FileRows([], [], [], [], 0)
    left_out = 0
    for row in read_rows(path, column):
        if row.problem == "header" or row.problem == "blank line":
            continue
        if len(found.lines) + len(found.refused) >= most:
            left_out += 1
        elif row.problem is not None:
            found.refused.append(Refused(row.line, row.text, row.problem))
        else:
            found.lines.append(row.line)
            found.texts.append(row.text)
            found.names.append(names.get(row.line, ""))
    return found._replace(left_out=left_out)


def _read_names(path: Path, column: str | None) -> dict[int, str]:
    """By line, the name of a row: the rest of a line of a .smi file, the cell of a table."""
    table = find_column(path, column)
    if table is None:
        lines = ((row.line, row.text.split(None, 1)) for row in read_rows(path, fields="line") if row.problem is None)
        return {line: parts[1].strip() for line, parts in lines if len(parts) > 1}
    chosen, names = table
    near = {name.strip().lower().replace(" ", "_"): name for name in reversed(names) if name != chosen}
    named = next((near[name] for name in NAME_COLUMNS if name in near), None)
    if named is None:
        return {}
    return {row.line: row.text for row in read_rows(path, named) if row.problem is None}


def encode_rows(model: Any, rows: FileRows, progress: Progress) -> Iterator[tuple[Layer, Layer, list[Refused]]]:
    """The rows as layers, part by part: those that the model knows, those that it does not, and the refused ones.

    The codes of rows that the model does not know stand for other texts, so they are a layer of their own.
    """
    for start in range(0, len(rows.texts), _CHUNK):
        progress.check(start, len(rows.texts), "rows of the file")
        part = slice(start, start + _CHUNK)
        lines, texts, names = rows.lines[part], rows.texts[part], rows.names[part]
        known = model.encode(texts, errors="skip", unknown="refuse", polish=0)
        others = sorted(known.errors)
        rest = (
            model.encode([texts[row] for row in others], errors="skip", unknown="ignore", polish=0) if others else None
        )
        refused = [] if rest is None else [(others[row], error.reason) for row, error in rest.errors.items()]

        def layer(kind: str, chosen: Sequence[int], codes: Codes, note: str) -> Layer:
            spelled = [model.codec.canonical(texts[row]) or texts[row] for row in chosen]  # noqa: B023
            columns = {"line": [lines[row] for row in chosen]}  # noqa: B023
            title = "Your rows" if kind == "rows" else "Your rows, unfamiliar to the model"
            return Layer(kind, title, spelled, codes, [names[row] for row in chosen], columns, note)  # noqa: B023

        unknown = [] if rest is None else [others[row] for row in rest.rows]
        yield (
            layer("rows", list(known.rows), known.codes, "The rows of your file."),
            layer(
                "unfamiliar",
                unknown,
                np.zeros((0, known.codes.shape[1]), np.float32) if rest is None else rest.codes,
                "They have atoms or marks that the model was not trained on: their places on the map say little.",
            ),
            [Refused(lines[row], texts[row], reason) for row, reason in refused],
        )


def draw(model: Any, n: int, seed: int, progress: Progress) -> Iterator[Layer]:
    """Draws of the model, part by part."""
    for start in range(0, n, 100):
        progress.check(start, n, "draws")
        found = model.sample(min(100, n - start), seed=seed + start)
        yield Layer("draws", "Draws", found.texts, found.latent, note=f"Drawn by the model, seed {seed}.")


class TrainingRows:
    """What a model or its folder still has of the rows that it was trained on.

    Parameters
    ----------
    model
        A trained model of texts.
    folder
        The folder of its training.
    most
        The most rows to show; of more, a random part.

    Attributes
    ----------
    source
        ``"rows"`` where the folder has the encoded data, ``"codes"`` where the model has kept codes, or ``"none"``.
    """

    def __init__(self, model: Any, folder: Path, most: int) -> None:
        self.model = model
        self.data = _open_data(folder)
        total = len(model.codes_) if self.data is None else len(self.data)
        self.total = total
        self.source = "none" if total == 0 else "codes" if self.data is None else "rows"
        self.chosen = np.sort(np.random.default_rng(0).permutation(total)[:most])

    @property
    def note(self) -> str:
        """A sentence on what is shown."""
        share = f"{len(self.chosen):,} of {self.total:,}"
        return {
            "none": "This model is compact and keeps no training rows; its own draws stand in for them.",
            "codes": f"{share} codes of training rows, as the model decodes them.",
            "rows": f"{share} rows that the model was trained or validated on.",
        }[self.source]

    def parts(self, progress: Progress) -> Iterator[Layer]:
        """The layer, part by part."""
        for start in range(0, len(self.chosen), _CHUNK):
            progress.check(start, len(self.chosen), "training rows")
            rows = self.chosen[start : start + _CHUNK]
            if self.data is None:
                texts, codes = [""] * len(rows), self.model.codes_[rows]
            else:
                codec = codec_from_dict(self.data.codec_dict)
                spelled = [text or "" for text in codec.spell_batch(self.data.batch(rows).numpy())]
                found = self.model.encode(spelled, errors="skip", unknown="ignore", polish=0)
                texts = [self.model.codec.canonical(spelled[row]) or spelled[row] for row in found.rows]
                codes = found.codes
            yield Layer("training", "Training rows", texts, codes, note=self.note)


def _open_data(folder: Path) -> TokenDataset | None:
    if not (folder / DATA_FOLDER).is_dir():
        return None
    try:
        return TokenDataset.open(folder / DATA_FOLDER)
    except GrammarRAEError:  # the data may be gone or damaged: the model is whole without them
        return None


def base_codes(model: Any, n: int = 2000, seed: int = 0) -> Codes:
    """Codes that say how the model's latent space lies, at once: kept ones, else draws of its density."""
    if len(model.codes_):
        rows = np.random.default_rng(seed).permutation(len(model.codes_))[:n]
        return np.asarray(model.codes_[rows])
    import torch

    generator = torch.Generator(device=model.device).manual_seed(seed)
    return np.asarray(model.density_.sample(n, generator).cpu().numpy(), np.float32)
