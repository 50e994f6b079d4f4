r"""What is echoed: properties that the head reads from codes, told to a decoder from which noise hides them.

A decoder that is told what was read still falls short of it, more where little else of the code is left. What it is
told leans the other way: :func:`measure_corrections` finds, for each property, the line from what is read to what is
told that gives draws the mean and the spread of what was read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.conditions import Condition
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.heads import Head, LinearHead
from grammar_rae.model.drawing import Drawing

DRAWS, TURNS = 1_000, 2
"""Texts that each turn of a measurement draws, and its turns: the second one corrects what the first has left."""

LEAST = 100
"""Valid texts of a turn below which nothing is corrected."""

LEAST_SLOPE = 0.3
"""What is written for each unit that is told, at least, as far as a correction believes."""

SCALES, SHIFTS = (0.5, 2.0), (-2.0, 2.0)
"""The bounds of a correction."""


class Correction(NamedTuple):
    """What is told of a property that reads r, in standard deviations of the data: ``scale`` r + ``shift``."""

    scale: float = 1.0
    shift: float = 0.0


def read_codes(codes: Tensor, columns: Sequence[int], head: LinearHead) -> Tensor:
    """The properties of these columns, standardised, as the head reads them from codes (n, D): (n, M)."""
    weight, bias = find_readers(head, columns)
    return codes @ weight.to(codes).T + bias.to(codes)


def find_readers(head: LinearHead, columns: Sequence[int]) -> tuple[Tensor, Tensor]:
    """W (M, D) and b (M,), by which the head reads the standardised properties of these columns from codes."""
    return head.properties.weight.detach()[columns], head.properties.bias.detach()[columns]


def echo_codes(
    codes: Tensor,
    names: Sequence[str],
    condition: Condition,
    head: Head,
    corrections: Mapping[str, Correction] | None = None,
) -> Tensor:
    """What the decoder is told of codes (n, D): the properties of these names, as the head reads them from the codes.

    Values outside the data's range are cut to it, after their correction.

    Raises
    ------
    InputError
        For a model whose decoder is told no properties, or whose codes are not read.
    UnknownNameError
        For a property that the decoder is not told.
    """
    for name in names:
        if name not in condition.names and condition.names:
            raise UnknownNameError("property", name, condition.names, "model.property_ranges_")
    if not condition.names or not isinstance(head, LinearHead):
        raise InputError(
            "this model has no properties to echo",
            received=", ".join(names),
            remedy="Use the bundled model molecules, or train with the condition properties and the head linear.",
        )
    columns = [condition.names.index(name) for name in names]
    values = {}
    for name, column, read in zip(names, columns, read_codes(codes, columns, head).T, strict=True):
        scale, shift = (corrections or {}).get(name, Correction())
        mean, deviation = (float(getattr(condition, part)[column]) for part in ("mean", "deviation"))
        values[name] = (mean + deviation * (scale * read + shift)).clamp(*condition.ranges[name])
    return condition.tell(len(codes), values)


def measure_corrections(model: Any, names: Sequence[str], seed: int) -> dict[str, Correction]:
    """The corrections with which a model's draws have the properties that are read from their codes, on the whole.

    Parameters
    ----------
    model
        A trained model of molecules; its draws are those of its recipe.
    names
        Properties that are told together.
    seed
        Seed of the draws.

    Raises
    ------
    InputError, UnknownNameError
        As :func:`echo_codes`.
    """
    from grammar_rae.chem.properties import properties

    recipe, condition, head = model.recipe_, model.autoencoder_.condition, model.autoencoder_.head
    drawing, (_, bound) = Drawing(recipe.temperature, recipe.top_p, guidance=0.0), model._bind(None)
    generator = model._generator(seed)
    found = dict.fromkeys(names, Correction())
    for _ in range(TURNS):
        z = model.density_.sample(DRAWS, generator)
        told = echo_codes(z, names, condition, head, found)
        columns = [condition.names.index(name) for name in names]
        texts = model._texts(z, drawing, bound, generator, recipe.smoothing, told)
        written = [(row, valid) for row, text in enumerate(texts) if (valid := model.codec.canonical(text or ""))]
        if len(written) < LEAST:
            break
        values = np.array([properties(text, tuple(names)) for _, text in written], np.float64)
        scales = (getattr(condition, part)[columns] for part in ("mean", "deviation"))
        mean, deviation = (np.asarray(scale.cpu(), np.float64) for scale in scales)
        read = np.asarray(read_codes(z, columns, head)[[row for row, _ in written]].cpu(), np.float64)
        standardised = (values - mean) / deviation
        found = {name: correct(found[name], read[:, at], standardised[:, at]) for at, name in enumerate(names)}
    return found


def correct(before: Correction, read: NDArray[np.float64], written: NDArray[np.float64]) -> Correction:
    """The correction that follows from what N texts say that were told what was read, corrected so far.

    What is written is taken as a line of what is told, and a rest that telling does not reach. The new correction gives
    what is written the mean of what is read, and its variance where the rest leaves room.
    """
    told = before.scale * read + before.shift
    if min(told.std(), written.std()) < 1e-6:
        return before
    slope = max(float(np.cov(told, written, bias=True)[0, 1] / told.var()), LEAST_SLOPE)
    rest = float((written - slope * told).var())
    spread = float(np.sqrt(max(read.var() - rest, read.var() / 4)))
    scale = float(np.clip(spread / (slope * read.std()), *SCALES))
    middle = told.mean() + (read.mean() - written.mean()) / slope
    return Correction(scale, float(np.clip(middle - scale * read.mean(), *SHIFTS)))
