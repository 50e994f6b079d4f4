"""Draws of a model: codes of its density, decoded under its constraint."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.checks import check_flag
from grammar_rae.codecs import FORMS, Codec
from grammar_rae.decoding import ConstraintSpec
from grammar_rae.density import draw_given, find_gaussians
from grammar_rae.errors import InputError
from grammar_rae.model.asked import Asked
from grammar_rae.model.drawing import Drawing, check_count
from grammar_rae.model.echoing import echo_codes
from grammar_rae.model.samples import SampleResult, collect
from grammar_rae.model.sources import as_texts
from grammar_rae.precision import in_single_precision
from grammar_rae.recipes import check_echo
from grammar_rae.scores import Window
from grammar_rae.seeds import resolve_seed

VARIANCE = 0.05
"""How far the head may read from the properties asked for: a variance, in that of the data."""

GUIDANCE = 1.0
"""How much more than by itself a decoder follows the properties that it is told."""

TRIES = 4
"""Texts of each code among which the one nearest to the properties asked for is chosen."""


class SamplingMixin:
    """What a model of texts draws from nothing but its density."""

    @in_single_precision
    def sample(
        self: Any,
        n: int,
        valid_only: bool = True,
        *,
        seed: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        constraint: str | ConstraintSpec | None = None,
        smoothing: float | None = None,
        max_attempts: int | None = None,
        properties: Mapping[str, Any] | None = None,
        guidance: float = GUIDANCE,
        tries: int | None = None,
        echo: Sequence[str] | None = None,
        strict: bool = False,
        where: str | None = None,
        wanted: str | Sequence[str] = (),
        unwanted: str | Sequence[str] = (),
        new_to: Iterable[str] = (),
        diverse: int | None = None,
        progress: bool = False,
    ) -> SampleResult:
        """Draw n texts: codes from the density, decoded under the constraint.

        Parameters
        ----------
        n
            How many.
        valid_only
            Reject texts that are not valid and draw others, up to ``max_attempts`` in all. The result says how many
            attempts it took.
        seed
            The same seed gives the same texts; None draws one, which the result has.
        temperature, top_p, constraint, smoothing
            As for :meth:`decode`; None for the recipe's.
        max_attempts
            The most texts to decode; None allows 100 for each text.
        properties
            Properties that are asked for, each a value or (lowest, highest), from which each text draws: for example
            ``{"logp": 2.5, "weight": (300, 350)}``. The decoder is told them, and where the density is made of
            Gaussians and the model's head reads properties from codes, codes are drawn given them. The result says how
            many of the valid texts had them.
        guidance
            How much more than by itself the decoder follows what it is told, 0 or more: see
            :class:`grammar_rae.decoding.Guided`.
        tries
            How many texts are decoded of each code when properties are asked for: the valid one that is nearest to them
            is given, and ``attempts`` and ``hit_rate`` count them all. None for 4, or 1 where texts are rejected for
            what they lack, by ``strict``, ``where``, ``wanted`` or ``unwanted``, or not even for being invalid.
        echo
            Properties that the head reads from each code, and that the decoder is told, without guidance: noise blurs
            the code, so that draws would be smaller than what it stands for. None for the recipe's; () for none. Where
            properties are asked for, by ``properties`` or ``where``, they alone are told.
        strict
            Reject texts that do not have the properties: that lie outside a range, or further than a quarter of the
            data's standard deviation from a value. It needs ``valid_only``.
        where
            A condition that every text must fulfil, for example ``"250 <= weight <= 400 and alerts == 0"``: see
            :class:`grammar_rae.scores.Window`. The decoder is told of it what it can be told; what misses is
            rejected. It needs ``valid_only``.
        wanted, unwanted
            SMARTS patterns, one or several: every molecule must have all that are wanted and none that is unwanted.
            What misses is rejected. They need ``valid_only``.
        new_to
            Texts that are not to be drawn, in any spelling.
        diverse
            Of the n texts, keep so many that are as unlike each other as can be, by MaxMin: see
            :func:`grammar_rae.chem.pick_diverse`. The result's counts are those of all draws.
        progress
            Whether to show a progress bar, on a terminal.

        Warns
        -----
        UserWarning
            When the attempts are used up: the result holds what was found.

        Raises
        ------
        InputError
            For n or max_attempts below 1, settings that cannot be used, or a constraint that does not exist or that the
            model cannot serve.
        DecodingError
            For a constraint that no text within the model's length limit is sure to obey.
        """
        check_count("n", n, "texts")
        check_flag("valid_only", valid_only)
        check_count("max_attempts", 1 if max_attempts is None else max_attempts, "texts")
        window = None if where is None else Window(where)
        substructures = read_substructures(wanted, unwanted, self.codec)
        rejecting = window is not None or substructures is not None
        asked = self._ask(properties or {}, window, substructures) if properties or rejecting else None
        if rejecting and not valid_only:
            raise InputError(
                "where, wanted and unwanted reject texts", remedy="Leave valid_only on, or these arguments out."
            )
        check_diverse(diverse, n, valid_only, self.codec)
        known = {self.codec.canonical(text) for text in as_texts(new_to)}
        if strict and (not properties or not valid_only):
            raise InputError(
                "strict rejects texts without the properties", remedy="Pass properties, and leave valid_only on."
            )
        if tries is None:
            tries = TRIES if properties and valid_only and not strict and not rejecting else 1
        check_count("tries", tries, "texts")
        if tries > 1 and not (properties and valid_only):
            raise InputError(
                "tries are for the text nearest to properties", remedy="Pass properties, and leave valid_only on."
            )
        n = int(n)  # a NumPy integer may be too small for what is computed from it
        recipe = self.recipe_
        temperature = recipe.temperature if temperature is None else temperature
        top_p = recipe.top_p if top_p is None else top_p
        smoothing = recipe.smoothing if smoothing is None else smoothing
        echo = recipe.echo if echo is None else check_echo(echo)
        drawing = Drawing(temperature, top_p, guidance=guidance)
        rules, bound = self._bind(constraint)
        seed = resolve_seed(seed)
        generator = self._generator(seed)
        most = (100 * n if valid_only else n) if max_attempts is None else int(max_attempts)
        tries = min(int(tries), most)

        def draw(batch: int) -> tuple[list[str | None], NDArray[np.float32]]:
            if asked is not None and asked.ranges:
                z, told = self._draw_asked(asked, batch, generator)
                often, told = z.repeat_interleave(tries, 0), told.repeat_interleave(tries, 0)
                return self._texts(often, drawing, bound, generator, smoothing, told), z.cpu().numpy()
            z = self.density_.sample(batch, generator)
            told = None
            if echo:
                nets = self.autoencoder_
                told = echo_codes(z, echo, nets.condition, nets.head, self.fitted_.corrections)
            return self._texts(z, replace(drawing, guidance=0.0), bound, generator, smoothing, told), z.cpu().numpy()

        found = collect(
            draw,
            self.codec.canonical,
            n,
            most,
            self.batch_rows,
            valid_only,
            recipe.latent,
            asked,
            strict or rejecting,
            known,
            tries,
            progress,
        )
        if len(found.texts) < n:
            what = "have what was asked for" if strict or rejecting else "are valid"
            warnings.warn(
                f"only {len(found.texts)} of {n} texts {what} after {found.attempts} attempts (validity "
                f"{found.n_valid / max(found.attempts, 1):.2%}); raise max_attempts, "
                + ("ask for less" if strict or rejecting else "lower the temperature, or train longer"),
                stacklevel=2,
            )
        result = SampleResult(
            *found[:5],
            constraint=rules,
            temperature=temperature,
            seed=seed,
            top_p=top_p,
            smoothing=smoothing,
            properties=dict(properties or {}),
            echo=() if asked is not None and asked.ranges else echo,
            n_hits=found.n_hits,
            where=where,
            are_molecules=FORMS[self.codec.form].molecules,
            wanted=() if substructures is None else substructures.wanted,
            unwanted=() if substructures is None else substructures.unwanted,
            tries=tries,
        )
        return result if diverse is None else result.pick_diverse(int(diverse))

    def _ask(
        self: Any, properties: Mapping[str, Any], window: Window | None = None, substructures: Any = None
    ) -> Asked:
        return Asked(properties, self.autoencoder_.condition, self.autoencoder_.head, window, substructures)

    def _draw_asked(self: Any, asked: Asked, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Codes (n, D) that are likely to have the properties, and what the decoder is told of each."""
        values = asked.draw(n, generator)
        gaussians, readers = find_gaussians(self.density_), asked.readers()
        if gaussians is None or readers is None:
            return self.density_.sample(n, generator), asked.tell(values)
        return draw_given(gaussians, *readers, asked.standardise(values), VARIANCE, generator), asked.tell(values)


def read_substructures(wanted: str | Sequence[str], unwanted: str | Sequence[str], codec: Codec) -> Any:
    """The patterns of molecules that are drawn, None where there are none.

    Raises
    ------
    InputError
        For patterns that are no SMARTS, or a model of other texts than molecules.
    """
    if all(isinstance(one, str | Sequence) and not one for one in (wanted, unwanted)):
        return None
    if not FORMS[codec.form].molecules:
        raise InputError("wanted and unwanted are patterns of molecules", remedy="Leave them out with this model.")
    from grammar_rae.chem.substructures import Substructures

    return Substructures(wanted, unwanted)


def check_diverse(diverse: object, n: int, valid_only: bool, codec: Codec) -> None:
    """Raise :class:`InputError` unless so many texts can be picked of n."""
    if diverse is None:
        return
    check_count("diverse", diverse, "texts")
    if not isinstance(diverse, int | np.integer) or diverse > n or not valid_only:
        raise InputError(
            "diverse picks some of the n texts that are drawn",
            received=f"diverse={diverse!r}, n={n}, valid_only={valid_only}",
            expected="at most n, with valid_only on",
        )
    if not FORMS[codec.form].molecules:
        raise InputError("diverse picks molecules", remedy="Leave it out with this model.")
