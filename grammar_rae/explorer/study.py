"""What all tabs of one explorer share: the model, the rows of a file, and the layers that every page begins with."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grammar_rae.codecs import FORMS
from grammar_rae.errors import InputError
from grammar_rae.explorer.jobs import Progress
from grammar_rae.explorer.layers import Layer
from grammar_rae.explorer.projections import PrincipalComponents
from grammar_rae.explorer.rows import FileRows, Refused, TrainingRows, base_codes, draw, encode_rows, read_file
from grammar_rae.explorer.values import Values
from grammar_rae.facts import Facts
from grammar_rae.model import TextModel

REFERENCES = 1000
"""The most texts whose properties are computed to say how many are near."""

_DECODED = 256


class Study:
    """A model of texts, the rows of a file, and what is known of both.

    Parameters
    ----------
    model
        A trained model of texts.
    folder
        Its folder: nothing else is read.
    file, column
        A file of texts, or None, and its column.
    draws
        How many draws to show.
    most
        The most training rows to show.
    seed
        Seed of all that is drawn.

    Raises
    ------
    InputError
        For a model of images, which have no page here.
    DataError
        For a file that cannot be read.
    """

    def __init__(
        self,
        model: Any,
        folder: Path,
        file: Path | None = None,
        column: str | None = None,
        *,
        draws: int = 500,
        most: int = 10_000,
        seed: int = 0,
    ) -> None:
        if not isinstance(model, TextModel):
            raise InputError(
                "the explorer shows models of texts",
                received=f"a model of {getattr(model, 'makes', 'something else')}",
                expected="a model of molecules or other texts",
                where=str(folder),
            )
        self.model: Any = model
        self.folder, self.file = folder, file
        self.draws, self.seed = draws, seed
        self.molecules = FORMS[model.codec.form].molecules
        self.values = Values(self.molecules)
        self.rows: FileRows | None = None if file is None else read_file(file, column)
        self.refused: list[Refused] = [] if self.rows is None else list(self.rows.refused)
        self.training = TrainingRows(model, folder, most)
        self.base = base_codes(model)
        self.principal = PrincipalComponents(self.base)
        self.layers: dict[str, Layer] = {}
        self.loaded = False

    @property
    def title(self) -> str:
        """What the page is about."""
        return f"{self.folder.name}: {self.file.name}" if self.file is not None else self.folder.name

    @property
    def properties(self) -> dict[str, tuple[float, float]]:
        """The properties that the decoder can be told, and their ranges."""
        return dict(self.model.property_ranges_)

    def load(self, progress: Progress, grown: Callable[[Layer], None]) -> None:
        """Read, encode and draw what every page begins with; ``grown`` gets each layer whenever it has more points."""
        if self.loaded:
            for layer in self.layers.values():
                grown(layer)
            return
        self.layers.clear()
        refused = [] if self.rows is None else list(self.rows.refused)
        if self.rows is not None:
            for known, unfamiliar, others in encode_rows(self.model, self.rows, progress):
                refused += others
                self.refused = sorted(refused)
                self._grow(known, grown)
                self._grow(unfamiliar, grown)
        for part in draw(self.model, self.draws, self.seed, progress):
            self._grow(part, grown)
        for part in self.training.parts(progress):
            self._grow(part, grown)
        self.loaded = True

    def _grow(self, part: Layer, grown: Callable[[Layer], None]) -> None:
        if len(part):
            before = self.layers.get(part.kind)
            self.layers[part.kind] = part if before is None else before.joined(part)
            grown(self.layers[part.kind])

    def decode(self, layer: Layer, rows: list[int], progress: Progress) -> None:
        """Fill in the texts of points that have codes alone."""
        missing = [row for row in rows if not layer.texts[row]]
        for start in range(0, len(missing), _DECODED):
            progress.check(start, len(missing), "texts of codes")
            part = missing[start : start + _DECODED]
            for row, text in zip(part, self.model.decode(layer.codes[part]), strict=True):
                layer.texts[row] = text

    # -- properties that are told --------------------------------------------------------------------------------

    def references(self) -> tuple[Mapping[str, NDArray[np.float64]], str]:
        """The properties of rows that near ones are counted among, and what these rows are.

        They are known at once where the training computed them; else those of a layer's texts, as far as they are.
        """
        names = list(self.properties)
        facts = self._facts
        if facts is not None:
            table = np.asarray(facts.properties, np.float64)
            return {name: table[:, facts.names.index(name)] for name in names}, "training rows"
        layer = self._reference_layer()
        texts = [] if layer is None else layer.texts[:REFERENCES]
        what = "training rows" if layer is not None and layer.kind == "training" else "draws of the model"
        return {name: self.values.known(name, texts) for name in names}, what

    def describe_references(self, progress: Progress) -> None:
        """Compute the properties of the rows that near ones are counted among, where they are not known."""
        layer = self._reference_layer()
        if layer is None or self._facts is not None:
            return
        rows = list(range(min(len(layer), REFERENCES)))
        self.decode(layer, rows, progress)
        for name in self.properties:
            self.values.compute(name, [layer.texts[row] for row in rows], progress)

    @property
    def _facts(self) -> Facts | None:
        data = self.training.data
        facts = None if data is None else data.facts
        return facts if facts is not None and set(self.properties) <= set(facts.names) else None

    def _reference_layer(self) -> Layer | None:
        return self.layers.get("training") or self.layers.get("draws")

    @property
    def deviations(self) -> dict[str, float]:
        """The standard deviation of each property that can be told, in the data."""
        condition = self.model.autoencoder_.condition
        return {name: float(condition.deviation[condition.names.index(name)]) for name in self.properties}

    @property
    def means(self) -> dict[str, float]:
        """The mean of each property that can be told, in the data."""
        condition = self.model.autoencoder_.condition
        return {name: float(condition.mean[condition.names.index(name)]) for name in self.properties}
