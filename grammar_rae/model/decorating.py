"""Decoration and linking: molecules that contain a template, with what was written at each of its points."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from grammar_rae.decoding import AllOf, ConstraintSpec, Point, Template, parse_spec
from grammar_rae.errors import DecodingError, InputError
from grammar_rae.model.drawing import Drawing, check_count
from grammar_rae.precision import in_single_precision
from grammar_rae.scores import score
from grammar_rae.seeds import resolve_seed, wrap_seed

if TYPE_CHECKING:
    import pandas as pd

ORDERS = 8
"""Orders of a template's atoms that are tried, for a model that can tell which is the likeliest."""

POOL = 4
"""How many times as many molecules are drawn as are asked for, where the model tells which of them are likely."""

SIZES = (2, 3, 4, 6, 8, 12)
"""Heavy atoms that what grows at a point has at most, each in a share of the draws.

A decoder that does not know what a linker has to reach seldom writes it by itself: without a limit the linker grows
until the length ends it. And at each of several points it would write a molecule's worth.
"""


class DecoratingMixin:
    """What a model of texts does with a template."""

    @in_single_precision
    def decorate(
        self: Any,
        template: str | Template,
        n: int = 100,
        *,
        points: Mapping[int, Point] | None = None,
        rings: bool = False,
        orders: int | None = None,
        pool: int | None = None,
        scores: Sequence[str] = (),
        constraint: str | ConstraintSpec | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        smoothing: float | None = None,
        max_attempts: int | None = None,
        seed: int | None = None,
    ) -> "pd.DataFrame":
        """Molecules that contain a template and grow at its points alone.

        Parameters
        ----------
        template
            A SMILES with points, ``c1cc([*:1])ccc1C(=O)N[*:2]``, a text with limits, ``"CC[*:1] | 1: elements=CNO"``,
            or a :class:`~grammar_rae.decoding.Template`. Two pieces with a point of the same number are linked.
        n
            How many different molecules.
        points
            What may grow at points, by their numbers.
        rings
            Whether rings are closed between two points of one piece with the same number.
        orders
            Orders of the template's atoms to try besides its own; the one is taken in which the model holds the
            template likeliest. None for 8 where the model has a likelihood without a code, else 0.
        pool
            How many times as many molecules are drawn as are asked for, of which those are kept that the model holds
            likeliest for their number of heavy atoms. None for 4 where the model has a likelihood without a code, else
            1, which keeps whatever is drawn first. From 2 on, and wherever pieces are linked or rings are closed, some
            draws have limits on what grows: 2, 3, 4, 6, 8 or 12 heavy atoms at a point.
        scores
            Names of scores to add as columns.
        constraint
            What must hold besides, for example ``"max-heavy-atoms=30"``.
        temperature, top_p, smoothing
            As for :meth:`sample`.
        max_attempts
            The most texts to decode; None allows 20 for each molecule.
        seed
            The same seed gives the same molecules.

        Returns
        -------
        DataFrame
            ``smiles``; what was written at each point, ``R1``, ``R2`` and so on, as SMILES with a point of that number
            (``[H][*:1]`` for none); for pieces that are linked ``linker``, and for a ring that is closed at points 3
            ``bridge3``, with ``[*:1]`` towards the first piece, or the first point of the report's template, and
            ``[*:2]`` towards the second; ``log_prob`` in nats where the model has it (see :meth:`log_prob`); and a
            column for each score. The likeliest molecules come first.

            ``attrs["report"]`` tells the order of the template that was taken, how many were tried, the texts decoded,
            the share of them that was valid, and the shares of these that were repeated and implausible: these (see
            :func:`grammar_rae.chem.is_plausible`) are left out, unless the template is one.

        Warns
        -----
        UserWarning
            Where fewer than n were found.

        Raises
        ------
        InputError
            For a template or other arguments that cannot be used.
        DecodingError
            For a template that no text within the model's length limit is sure to contain.
        """
        check_count("n", n, "molecules")
        check_count("max_attempts", 1 if max_attempts is None else max_attempts, "texts")
        if orders is not None and (isinstance(orders, bool) or not isinstance(orders, int | np.integer) or orders < 0):
            raise InputError("orders must be a number of orders", received=repr(orders), expected="0 or more")
        if pool is not None:
            check_count("pool", pool, "times as many molecules")
        asked = _read_template(template, points, rings)
        score([], scores)  # so that an unknown name is refused before any work
        likely = self.fitted_.percentiles is not None
        if pool is not None and pool > 1 and not likely:
            raise InputError("this model cannot tell which molecules are likely", remedy="Leave pool out, or pass 1.")
        taken, tried = self._likeliest_order(asked, orders)
        times = pool or (POOL if likely else 1)
        drafts = _limit_sizes(taken, _between(taken) or (_open_ends(taken) if times > 1 else []))
        each = -(-times * int(n) // len(drafts))
        left = 20 * each * len(drafts) if max_attempts is None else int(max_attempts)
        share = -(-left // len(drafts))
        recipe = self.recipe_
        drawing = Drawing(
            recipe.temperature if temperature is None else temperature, recipe.top_p if top_p is None else top_p
        )
        level = recipe.smoothing if smoothing is None else smoothing
        seed = resolve_seed(seed)
        grown = []
        for number, draft in enumerate(drafts):
            try:
                _, bound = self._bind(draft if constraint is None else AllOf(draft, parse_spec(constraint)))
            except (InputError, DecodingError):
                if draft is drafts[-1]:
                    raise
                continue  # so small a linker cannot be what is asked; a larger one may
            generator = self._generator(wrap_seed(seed + number))
            grown.append(self._grow(draft, bound, each, min(share, left), drawing, level, generator))
            left -= grown[-1].attrs["attempts"]
            if left == 0:
                break
        frame: pd.DataFrame = self._keep_likeliest(grown, int(n))
        attempts = sum(part.attrs["attempts"] for part in grown)
        if len(frame) < n:
            warnings.warn(
                f"found {len(frame)} of {n} different molecules after {attempts} texts; loosen the limits of points, "
                "raise the temperature or max_attempts",
                stacklevel=3,
            )
        frame = frame.assign(**score(list(frame["smiles"]), scores))
        n_valid, repeated, left_out = (
            sum(part.attrs[name] for part in grown) for name in ("valid", "repeated", "left_out")
        )
        frame.attrs["report"] = {
            "template": taken.smiles,
            "orders": tried,
            "attempts": attempts,
            "valid": n_valid / attempts,
            "duplicates": repeated / n_valid if n_valid else float("nan"),
            "implausible": left_out / n_valid if n_valid else float("nan"),
        }
        return frame

    def link(
        self: Any,
        pieces: str,
        n: int = 100,
        *,
        max_heavy_atoms: int | None = None,
        elements: str | None = None,
        ring_sizes: Sequence[int] | None = None,
        **options: Any,
    ) -> "pd.DataFrame":
        """Molecules in which two pieces are linked by what the model writes between them.

        Parameters
        ----------
        pieces
            Two pieces with a point of the same number, ``c1ccccc1[*:1].[*:1]N1CCOCC1``.
        n
            How many different molecules.
        max_heavy_atoms, elements, ring_sizes
            What the linker may be: see :class:`~grammar_rae.decoding.Point`.
        options
            As for :meth:`decorate`.

        Returns
        -------
        DataFrame
            As :meth:`decorate` gives it.

        Raises
        ------
        InputError, DecodingError
            As :meth:`decorate`, and for one piece.
        """
        spec = _read_template(pieces, options.pop("points", None), bool(options.pop("rings", False)))
        if not spec.joints.linked:
            raise InputError(
                "there is one piece, and nothing to link it with",
                received=spec.smiles,
                expected="two pieces with a point of the same number, such as c1ccccc1[*:1].[*:1]N1CCOCC1",
                remedy="For one piece, call decorate.",
            )
        asked = Point(max_heavy_atoms, elements, None if ring_sizes is None else tuple(ring_sizes))
        limits = dict(spec.points) | ({spec.joints.linked[0]: asked} if asked != Point() else {})
        found: pd.DataFrame = self.decorate(Template(spec.smiles, limits, spec.rings), n, **options)
        return found

    def _grow(
        self: Any, draft: Template, bound: Any, n: int, most: int, drawing: Drawing, smoothing: float, generator: Any
    ) -> "pd.DataFrame":
        """At most n different molecules of a template, with what grew where, of at most so many texts."""
        from grammar_rae.chem import is_plausible, spell_template

        found: dict[str, str] = {}
        attempts = n_valid = repeated = left_out = 0
        odd = not is_plausible(spell_template(draft.smiles, rings=draft.rings)[0].fill())  # then all may be
        while attempts < most and len(found) < n:
            batch = int(min(self.batch_rows, most - attempts, 2 * (n - len(found)) + 8))
            z = self.density_.sample(batch, generator)
            texts = self._texts(z, drawing, bound, generator, smoothing)
            attempts += batch
            for text in texts:
                spelled = None if text is None else self.codec.canonical(text)
                if spelled is None:
                    continue
                n_valid += 1
                repeated += spelled in found
                if not odd and not is_plausible(spelled):
                    left_out += 1
                elif len(found) < n:
                    found.setdefault(spelled, text)
        import pandas as pd

        frame = pd.DataFrame({"smiles": list(found), **self._columns(draft, bound, list(found.values()))})
        frame.attrs.update(attempts=attempts, valid=n_valid, repeated=repeated, left_out=left_out)
        return frame

    def _keep_likeliest(self: Any, grown: "Sequence[pd.DataFrame]", n: int) -> "pd.DataFrame":
        """The n likeliest for their size of all that grew, the likeliest first; the first n without a likelihood."""
        import pandas as pd

        frame = pd.concat([part.assign() for part in grown], ignore_index=True).drop_duplicates("smiles")
        if self.fitted_.percentiles is None:
            return frame.head(n).reset_index(drop=True)
        frame["log_prob"] = self.log_prob(list(frame["smiles"]), errors="nan")
        if len(frame) > n:
            sizes = score(list(frame["smiles"]), ["heavy_atoms"])["heavy_atoms"]
            frame = frame.loc[(frame["log_prob"] / sizes).sort_values(ascending=False, kind="stable").index[:n]]
        return frame.sort_values("log_prob", ascending=False, kind="stable", ignore_index=True)

    def _likeliest_order(self: Any, asked: Template, orders: int | None) -> tuple[Template, int]:
        """The template in the order of atoms in which the model holds it likeliest, and how many were tried."""
        has_likelihood = self.fitted_.percentiles is not None
        most = (ORDERS if has_likelihood else 0) if orders is None else int(orders)
        if most == 0:
            return asked, 1
        if not has_likelihood:
            raise InputError(
                "this model cannot tell which order of a template is the likeliest",
                received=f"orders={most}",
                remedy="Leave orders out, or take a model of the recipe molecules.",
            )
        from grammar_rae.chem import reorder_template, spell_template

        texts = [asked.smiles, *reorder_template(asked.smiles, most, asked.rings)]
        filled = [spell_template(text, rings=asked.rings)[0].fill() for text in texts]
        batch = self.codec.encode_batch(filled, prepared=True)
        rejected = {index for index, _ in batch.rejected}
        rows = [index for index in range(len(texts)) if index not in rejected]
        if not rows:  # binding says why
            return asked, len(texts)
        likely = self._log_prob_of(batch.tokens, batch.offsets, 0, self._generator(0))
        best = texts[rows[int(np.argmax(likely))]]
        return Template(best, dict(asked.points), asked.rings), len(texts)

    def _columns(self: Any, taken: Template, bound: Any, texts: Sequence[str]) -> dict[str, list[str]]:
        """What was written at each point of the template in N texts, by the names of columns."""
        from grammar_rae.chem import cut_group, spell_template

        joints = taken.joints
        turned = spell_template(taken.smiles, rings=taken.rings)[0].turned
        names, ends = {}, {}
        for label in sorted(joints.labels):
            names[label], ends[label] = f"R{label}", (label, label)
        for label in joints.linked:
            names[label], ends[label] = "linker", (2, 1) if turned else (1, 2)
        for label in joints.closed:
            names[label], ends[label] = f"bridge{label}", (2, 1)
        batch = self.codec.encode_batch(list(texts), prepared=True)
        columns = {name: [f"[H][*:{label}]"] * len(texts) for label, name in names.items()}
        for row, text in enumerate(texts):
            for label, first, end in bound.grown(batch.tokens[batch.offsets[row] : batch.offsets[row + 1]]):
                columns[names[label]][row] = cut_group(text, first, end, *ends[label])
        return columns


def _between(asked: Template) -> list[int]:
    """The points between which something is written: a linker, or a bridge."""
    return [*asked.joints.linked, *asked.joints.closed]


def _open_ends(asked: Template) -> list[int]:
    """The points at which something may grow, of a template without such."""
    points = dict(asked.points)
    return [label for label in sorted(asked.joints.labels) if not points.get(label, Point()).closed]


def _limit_sizes(asked: Template, labels: Sequence[int]) -> list[Template]:
    """The template with each limit of ``SIZES`` on what grows at some points, as far as its own allow it.

    The last draft has the template's own limits on what grows at ends; linkers and bridges have one in all drafts.
    """
    if not labels:
        return [asked]
    points = dict(asked.points)
    own = [points.get(label, Point()).max_heavy_atoms for label in labels]
    largest = max((SIZES[-1] if most is None else most) for most in own)
    sizes: list[int | None] = [*sorted({size for size in SIZES if size < largest} | {largest})]
    if not _between(asked):
        sizes[-1] = None
    return [
        Template(
            asked.smiles,
            points
            | {
                label: replace(points.get(label, Point()), max_heavy_atoms=_smaller(size, most))
                for label, most in zip(labels, own, strict=True)
            },
            asked.rings,
        )
        for size in sizes
    ]


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((size for size in (one, other) if size is not None), default=None)


def _read_template(template: str | Template, points: Mapping[int, Point] | None, rings: bool) -> Template:
    """The template of a text, with limits and rings that were passed besides."""
    if isinstance(template, str):
        template = Template.parse(template + " | rings" if rings else template)
    elif not isinstance(template, Template):
        raise InputError("a template must be a SMILES with points, or a Template", received=repr(template))
    return Template(template.smiles, dict(template.points) | dict(points or {}), template.rings)
