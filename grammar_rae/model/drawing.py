"""From latent codes to tokens of texts: what was given, checked, and the way that was chosen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grammar_rae.decoding import (
    Constraint,
    DecodesAtOnce,
    DrawsAll,
    StepDecoder,
    beam_search,
    check_temperature,
    check_top_p,
    check_width,
    decode,
    decode_all,
)
from grammar_rae.errors import InputError


@dataclass(frozen=True)
class Drawing:
    """How a decoder's logits become tokens; the attributes are those of :meth:`TextModel.decode`.

    Raises
    ------
    InputError
        For settings that cannot be used, or not together.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    beam: int | None = None

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_top_p(self.top_p)
        if self.beam is None:
            return
        check_width(self.beam)
        if self.temperature != 0 or self.top_p != 1:
            raise InputError(
                "a beam search draws nothing",
                received=f"temperature {self.temperature}, top_p {self.top_p}",
                remedy="Give beam alone, or temperature and top_p without it.",
            )

    @property
    def width(self) -> int:
        """How many rows each row of z takes."""
        return self.beam or 1

    def tokens(
        self,
        decoder: StepDecoder[Any],
        z: Tensor,
        constraint: Constraint[Any],
        limit: int,
        generator: torch.Generator,
    ) -> Tensor:
        """int64 (B, T): the tokens of z (B, D); see :mod:`grammar_rae.decoding` for the rest."""
        if self.beam is not None:
            return beam_search(decoder, z, constraint, limit, self.beam)
        if isinstance(decoder, DecodesAtOnce) and isinstance(constraint, DrawsAll) and self.top_p == 1:
            with torch.inference_mode():
                return decode_all(decoder.all_logits(z, limit), constraint, self.temperature, generator)
        return decode(decoder, z, constraint, limit, self.temperature, generator, self.top_p)


def latent_codes(z: Any, size: int) -> Tensor:
    """Latent codes as float32 (N, D) on the CPU; one alone, (D,), is taken as (1, D).

    Raises
    ------
    InputError
        For what is no numbers, of another size than D, or not finite.
    """
    try:
        values = z.detach().float().cpu().numpy() if isinstance(z, Tensor) else z
        codes = torch.from_numpy(np.array(values, dtype=np.float32, ndmin=2))
    except (TypeError, ValueError) as error:
        raise InputError("latent codes are numbers", received=type(z).__name__, expected="(N, D)") from error
    if codes.ndim != 2 or codes.shape[1] != size:
        raise InputError(
            "these are not latent codes of this model",
            received=f"shape {tuple(np.shape(z))}",
            expected=f"(N, {size})",
        )
    if not bool(codes.isfinite().all()):
        raise InputError("latent codes must be finite numbers", received="NaN or infinity among them")
    return codes
