"""From latent codes to tokens of texts: the settings of a decoding, checked, and the algorithm that they choose."""

import hashlib
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

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
    guidance: float = 0.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_top_p(self.top_p)
        number = isinstance(self.guidance, int | float) and not isinstance(self.guidance, bool)
        if not number or not 0 <= self.guidance < float("inf"):
            raise InputError("guidance cannot be used", received=repr(self.guidance), expected="0 or more, and finite")
        if self.beam is None:
            return
        check_width(self.beam)
        if self.temperature != 0 or self.top_p != 1:
            raise InputError(
                "a beam search draws nothing",
                received=f"temperature {self.temperature}, top_p {self.top_p}",
                remedy="Pass beam alone, or temperature and top_p without it.",
            )

    @property
    def width(self) -> int:
        """How many rows of a batch each row of z takes."""
        return self.beam or 1

    def tokens(
        self,
        decoder: nn.Module,
        z: Tensor,
        constraint: Constraint[Any],
        limit: int,
        generator: torch.Generator,
    ) -> Tensor:
        """int64 (B, T): the tokens of z (B, D); see :mod:`grammar_rae.decoding` for the rest."""
        steps = cast(StepDecoder[Any], decoder)
        if self.beam is not None:
            return beam_search(steps, z, constraint, limit, self.beam)
        if isinstance(decoder, DecodesAtOnce) and isinstance(constraint, DrawsAll) and self.top_p == 1:
            with torch.inference_mode():
                return decode_all(decoder.all_logits(z, limit), constraint, self.temperature, generator)
        return decode(steps, z, constraint, limit, self.temperature, generator, self.top_p)


def latent_codes(z: Any, size: int) -> Tensor:
    """Latent codes as float32 (N, D) on the CPU; a single code (D,) becomes (1, D).

    Raises
    ------
    InputError
        Unless they are finite numbers, D to a row.
    """
    try:
        if z.is_complex() if isinstance(z, Tensor) else np.iscomplexobj(z):
            raise InputError("latent codes must be real numbers", received="complex ones", expected="(N, D)")
        values = z.detach().float().cpu().numpy() if isinstance(z, Tensor) else z
        codes = torch.from_numpy(np.array(values, dtype=np.float32, ndmin=2))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("latent codes must be numbers", received=type(z).__name__, expected="(N, D)") from error
    if codes.ndim != 2 or codes.shape[1] != size:
        raise InputError(
            "these are not latent codes of this model",
            received=f"shape {tuple(np.shape(z))}",
            expected=f"(N, {size})",
        )
    if not bool(codes.isfinite().all()):
        raise InputError("latent codes must be finite numbers", received="NaN or infinity among them")
    return codes


def check_count(name: str, number: object, what: str) -> None:
    """Raise :class:`InputError` unless an argument is a whole number of texts or images, 1 or more."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise InputError(f"{name} must be a number of {what}", received=repr(number), expected="1 or more")


def make_generator(device: torch.device, seed: int, purpose: str = "") -> torch.Generator:
    """The source of randomness for a seed; one seed gives each purpose other numbers."""
    generator = torch.Generator(device=device)
    if purpose:
        digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
        seed = int.from_bytes(digest[:8], "big")
    return generator.manual_seed(seed)
