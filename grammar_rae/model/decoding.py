"""From codes to texts, under a constraint."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.checks import check_flag, is_number
from grammar_rae.decoding import Constraint, ConstraintSpec, Guided, parse_spec
from grammar_rae.errors import InputError
from grammar_rae.model.drawing import Drawing, latent_codes
from grammar_rae.model.known import warn_unwritable
from grammar_rae.model.nearest import check_nearest, find_nearest
from grammar_rae.model.results import DecodedTexts, spell_texts
from grammar_rae.precision import in_single_precision
from grammar_rae.recipes import build_constraint


class DecodingMixin:
    """What a model of texts makes of codes."""

    def decode(
        self: Any,
        z: NDArray[Any] | Tensor,
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        beam: int | None = None,
        nearest: int | None = None,
        seed: int | None = None,
        constraint: str | ConstraintSpec | None = None,
        smoothing: float | NDArray[Any] = 0.0,
        properties: Mapping[str, Any] | None = None,
        canonical: bool = True,
    ) -> list[str]:
        """Texts of latent codes (N, D).

        Parameters
        ----------
        z
            Codes; one alone, (D,), is taken as (1, D).
        temperature, top_p, seed
            Temperature 0 takes the likeliest token at each step; above that, steps are drawn, by the seed. Below 1,
            ``top_p`` leaves out the unlikeliest tokens of each step: see :func:`grammar_rae.decoding.decode`.
        beam
            Search for the likeliest text with this many beams instead: see :func:`grammar_rae.decoding.beam_search`.
        nearest
            Encode the texts again, and where a text's code is not the one that it was decoded from, try up to this many
            others: of all of them, the text whose code is nearest is given. More come back exactly, for the time that
            the tries take; the seed chooses what is tried. None tries no others.
        constraint
            What every step must obey, for example ``"chemistry; max-heavy-atoms=38"``: a text or an object of
            :mod:`grammar_rae.decoding.specs`; None for the recipe's. Under ``"none"``, codes that decode to no
            complete text give "".
        smoothing
            The level of the noise that is added to the codes, by the seed, and passed to the decoder, or N levels, one
            for each code: see :class:`grammar_rae.regularizers.NoiseConditioned`. Other decoders accept only 0.
        properties
            Properties that the decoder is told, each a value or (lowest, highest), from which each code draws, by the
            seed: see :attr:`property_ranges_`. The codes are moved to where the properties are read from them, if the
            model's head reads them.
        canonical
            Give molecules as canonical SMILES; one that is not valid is left as it was decoded. False leaves all texts
            as they were decoded, and needs no RDKit.

        Raises
        ------
        InputError
            For codes of another size or not finite, settings that cannot be used or combined, or a constraint that does
            not exist or that the model cannot serve.
        DecodingError
            For a constraint that no text within the model's length limit is sure to obey.
        """
        check_flag("canonical", canonical)
        drawing = Drawing(temperature, top_p, beam)
        found = self._decode(z, drawing, nearest, seed, constraint, smoothing, properties)
        return spell_texts(found, self.codec).texts if canonical else ["" if text is None else text for text in found]

    def decode_batch(
        self: Any,
        z: NDArray[Any] | Tensor,
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        beam: int | None = None,
        nearest: int | None = None,
        seed: int | None = None,
        constraint: str | ConstraintSpec | None = None,
        smoothing: float | NDArray[Any] = 0.0,
        properties: Mapping[str, Any] | None = None,
    ) -> DecodedTexts:
        """Texts of latent codes (N, D) as :meth:`decode` gives them, and which of them are valid.

        Parameters
        ----------
        z, temperature, top_p, beam, nearest, seed, constraint, smoothing, properties
            As for :meth:`decode`.

        Raises
        ------
        InputError, DecodingError
            As :meth:`decode`.
        """
        drawing = Drawing(temperature, top_p, beam)
        found = self._decode(z, drawing, nearest, seed, constraint, smoothing, properties)
        return spell_texts(found, self.codec)

    @in_single_precision
    def _decode(
        self: Any,
        z: NDArray[Any] | Tensor,
        drawing: Drawing,
        nearest: int | None,
        seed: int | None,
        constraint: str | ConstraintSpec | None,
        smoothing: float | NDArray[Any],
        properties: Mapping[str, Any] | None,
    ) -> list[str | None]:
        """The texts of z (N, D) as they are decoded; None for what is not a text."""
        codes = latent_codes(z, self.recipe_.latent)
        check_nearest(nearest, drawing, smoothing, properties)
        levels = read_levels(smoothing, len(codes))
        # The noise on codes is not that which a density drew them with by the same seed.
        generator = self._generator(seed, "smoothing" if np.any(smoothing) else "")
        _, bound = self._bind(constraint)
        told = None
        if properties:
            told, codes = self._ask(properties).move(codes, self._generator(seed, "properties"))
            if drawing.width > 1:
                raise InputError("a beam search is told no properties", remedy="Pass beam or properties, not both.")
        found: list[str | None] = self._all_texts(codes, drawing, bound, generator, levels, told)
        if nearest is None or not found:
            return found
        return find_nearest(
            codes,
            found,
            nearest,
            lambda texts: self._encode_texts(texts, False, None, "ignore", None, 0, 0).fill(),
            lambda tried: self._all_texts(tried, drawing, bound, generator, 0.0, None),
            self._generator(seed, "nearest"),
        )

    def _all_texts(
        self: Any,
        z: Tensor,
        drawing: Drawing,
        bound: Constraint[Any],
        generator: torch.Generator,
        smoothing: float | Tensor,
        told: Tensor | None,
    ) -> list[str | None]:
        """Texts of z (N, D), a batch at a time; the rest as for :meth:`_texts`."""
        rows = max(1, self.batch_rows // drawing.width)
        found: list[str | None] = []
        for start in range(0, len(z), rows):
            part = slice(start, start + rows)
            found += self._texts(
                z[part],
                drawing,
                bound,
                generator,
                smoothing[part] if isinstance(smoothing, Tensor) else smoothing,
                None if told is None else told[part],
            )
        return found

    def _bind(self: Any, constraint: str | ConstraintSpec | None) -> tuple[str, Constraint[Any]]:
        """The text of a constraint, and the constraint for this model's codec."""
        choice = parse_spec(self.recipe_.constraint if constraint is None else constraint)
        bound = build_constraint(choice, self.codec, self.atoms_)
        warn_unwritable(self.known_, bound, str(choice))
        return str(choice), bound

    def _texts(
        self: Any,
        z: Tensor,
        drawing: Drawing,
        bound: Constraint[Any],
        generator: torch.Generator,
        smoothing: float | Tensor,
        told: Tensor | None = None,
    ) -> list[str | None]:
        """Texts of z (B, D); None for what is not a text, which is possible without a constraint."""
        limit = self.codec.max_length or 1024
        nets = self.autoencoder_

        def search(decoder: Any, given: Tensor) -> Tensor:
            if told is not None and drawing.guidance:
                decoder = Guided(decoder, nets.untell(given), drawing.guidance)
            return drawing.tokens(decoder, given, bound, limit, generator)

        with torch.inference_mode(), self._autocast():
            tokens = nets.decode(z.to(self.device), smoothing, generator, search, told)
        spelled: list[str | None] = self.codec.spell_batch(tokens.cpu().numpy())
        return spelled


def read_levels(smoothing: Any, n: int) -> float | Tensor:
    """One level of noise, or those of n codes, float32 (n,)."""
    if is_number(smoothing):
        return float(smoothing)
    if not isinstance(smoothing, np.ndarray) or smoothing.shape != (n,) or smoothing.dtype.kind not in "fiu":
        raise InputError(
            "the smoothing cannot be used", received=repr(smoothing), expected=f"0 or more, or an array of {n} levels"
        )
    return torch.from_numpy(smoothing.astype(np.float32))
