"""The text whose own code is nearest to a code: texts are encoded again, and others tried where their codes differ."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.errors import InputError
from grammar_rae.model.drawing import Drawing, check_count

AT_ONCE = 4
"""Further texts of a code in each round; the next round starts from the nearest of them."""

_SAME = 1e-4  # of a code's length: rounding, since the code of a text depends on the batch in its last digits
_SPREAD = 0.2  # the noise on the codes that are tried, in root mean squares of the code

Encode = Callable[[list[str]], NDArray[np.float32]]
Decode = Callable[[Tensor], Sequence[str | None]]


def check_nearest(number: Any, drawing: Drawing, smoothing: Any, properties: Any) -> None:
    """Raise :class:`InputError` unless so many texts may be tried with the other settings of a decoding."""
    if number is None:
        return
    check_count("nearest", number, "texts")
    others = {
        "temperature": drawing.temperature,
        "top_p": drawing.top_p != 1,
        "beam": drawing.beam,
        "smoothing": np.any(smoothing),
        "properties": properties,
    }
    if given := [name for name, value in others.items() if value]:
        raise InputError(
            "the text nearest to a code is not drawn",
            received=f"nearest with {' and '.join(given)}",
            remedy="Pass nearest alone, or the others without it.",
        )


def find_nearest(
    z: Tensor, texts: Sequence[str | None], tries: int, encode: Encode, decode: Decode, generator: torch.Generator
) -> list[str | None]:
    """For each code of z (N, D) the text nearest to it: its own of N ``texts``, or one of as many as ``tries`` others.

    A text is tried by decoding the code after a step towards what the code of the nearest text so far lacks, with a
    little noise. Codes whose text has just that code are done.
    """
    nearest, codes = list(texts), encode([text or "" for text in texts])
    wanted = z.cpu().numpy()
    length = np.linalg.norm(wanted, axis=1)
    distance = _distances(codes, wanted)
    while tries > 0 and len(open_rows := np.flatnonzero(distance > _SAME * length)):
        rows = np.repeat(open_rows, min(AT_ONCE, tries))
        tries -= AT_ONCE
        lacking = np.nan_to_num(wanted[rows] - codes[rows])  # nothing is known to be lacking where a text has no code
        moved = wanted[rows] + _random(torch.rand, (len(rows), 1), generator) * lacking
        moved += _SPREAD * _root_mean_square(wanted[rows]) * _random(torch.randn, lacking.shape, generator)
        found = decode(torch.from_numpy(moved))
        theirs = encode([text or "" for text in found])
        apart = _distances(theirs, wanted[rows])
        for row, text, code, value in zip(rows, found, theirs, apart, strict=True):
            if value < distance[row]:
                nearest[row], codes[row], distance[row] = text, code, value
    return nearest


def _distances(codes: NDArray[np.float32], wanted: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (N,): how far each code is from the wanted one; infinite where a text has no code."""
    apart: NDArray[np.float32] = np.linalg.norm(codes - wanted, axis=1)
    return np.nan_to_num(apart, nan=np.inf)


def _root_mean_square(codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 (N, 1)."""
    found: NDArray[np.float32] = np.sqrt(np.mean(codes**2, axis=1, keepdims=True))
    return found


def _random(draw: Callable[..., Tensor], shape: tuple[int, ...], generator: torch.Generator) -> NDArray[np.float32]:
    found: NDArray[np.float32] = draw(shape, generator=generator, device=generator.device).cpu().numpy()
    return found
