"""Recipes of models of texts: molecules, expressions, whatever has a grammar."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from grammar_rae.checks import check_count
from grammar_rae.codecs import CODECS, FORMS, Codec
from grammar_rae.conditions import CONDITIONS
from grammar_rae.decoding import Constraint, ConstraintSpec, check_temperature, check_top_p, parse_spec
from grammar_rae.errors import InputError
from grammar_rae.heads import HEADS
from grammar_rae.likelihoods import LIKELIHOODS
from grammar_rae.nets.sequence import DECODERS, ENCODERS
from grammar_rae.recipes.base import Options, Parts, Recipe, assemble, construct


@dataclass(frozen=True, kw_only=True)
class TextRecipe(Recipe):
    """A recipe of a model of texts.

    Attributes
    ----------
    form, fragments, max_length
        As in :mod:`grammar_rae.codecs`: what is parsed, molecules of several parts, the most codes a text may take.
    codec
        Row of ``CODECS``; its options go to ``learn``.
    codec_texts
        How many texts, drawn at random, the codec learns from.
    constraint
        The default when sampling, as a text: ``"grammar"``, or ``"chemistry; max-heavy-atoms=38"``. It can be given as
        an object of :mod:`grammar_rae.decoding.specs` too.
    temperature, top_p
        The defaults when sampling.
    echo
        Properties that the head reads from each code that is sampled, and that the decoder is told: noise on the code
        blurs what it stands for, and what is told stays.
    polish
        How many steps move a code that a text is encoded to, where the decoder does not give the text back: see
        :mod:`grammar_rae.model.polishing`.

    The others are those of :class:`Recipe`.
    """

    tables: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **Recipe.tables,
        "form": FORMS,
        "codec": CODECS,
        "encoder": ENCODERS,
        "decoder": DECODERS,
        "likelihood": LIKELIHOODS,
        "condition": CONDITIONS,
        "head": HEADS,
    }

    form: str = "kekule"
    fragments: str = "refuse"
    max_length: int | None = 64
    codec: str = "grammar"
    codec_options: Options = field(default_factory=lambda: {"grammar": "smiles", "n_macros": 512})
    codec_texts: int = 20_000
    encoder: str = "gru"
    decoder: str = "gru"
    likelihood: str = "categorical"
    constraint: str = "grammar"
    temperature: float = 1.0
    top_p: float = 1.0
    echo: tuple[str, ...] = ()
    polish: int = 0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_top_p(self.top_p)
        check_count("polish", self.polish, least=0)
        object.__setattr__(self, "echo", check_echo(self.echo))
        object.__setattr__(self, "constraint", str(parse_spec(self.constraint)))
        super().__post_init__()
        if self.echo and not (CONDITIONS[self.condition].needs_facts and HEADS[self.head].asks):
            raise InputError(
                "there is nothing to echo",
                received=", ".join(self.echo),
                expected="a condition and a head of properties",
                remedy="Choose them, or echo=().",
            )

    def counts(self) -> list[str]:
        """The fields that are whole numbers, 1 or more."""
        return [*super().counts(), "codec_texts", *(["max_length"] if self.max_length is not None else [])]


def check_echo(names: Any) -> tuple[str, ...]:
    """Names of properties, as a tuple.

    Raises
    ------
    InputError
        For anything else.
    """
    found = tuple(names) if isinstance(names, Iterable) and not isinstance(names, str) else None
    if found is None or not all(isinstance(one, str) for one in found):
        raise InputError("echo takes names of properties", received=repr(names), expected='for example ("weight",)')
    return found


FAST = {"batch_size": 512, "learning_rate": 2e-3, "warmup_steps": 200, "optimizer": "adamw", "gradient_clip": 1.0}
"""The training of autoregressive decoders; how long it lasts is each recipe's own."""

TEXT_RECIPES: tuple[TextRecipe, ...] = (
    TextRecipe(
        name="moses",
        description="molecules in Kekulé form, 512 macros, bidirectional GRU encoder, autoregressive GRU decoder that "
        "is told the noise on the code: it reconstructs, and it samples",
        decoder_options={"hidden": 768, "tally": True},
        objective="layer-norm",
        objective_options={},
        regularizer="noise-conditioned",
        smoothing=2.0,
        temperature=0.6,
        polish=16,
        training={**FAST, "time_limit": 1200.0, "validate_every": 60.0},
    ),
    TextRecipe(
        name="molecules",
        description="drug-like molecules with charges and stereo marks: 2,048 macros, a decoder that is told "
        "properties, and codes from which they can be read",
        max_length=96,
        codec_options={"grammar": "smiles", "n_macros": 2048},
        codec_texts=40_000,
        latent=128,
        decoder_options={"hidden": 768, "tally": True, "rank": 128, "remaining": True},
        objective="layer-norm",
        objective_options={},
        regularizer="noise-conditioned",
        regularizer_options={"clean": 0.25, "nothing": 0.1},
        condition="properties",
        condition_options={"none": 0.2, "jitter": 0.05},
        head="linear",
        head_options={"bits": 512},
        smoothing=2.0,
        echo=("weight", "tpsa"),
        polish=16,
        training={
            **FAST,
            "batch_size": 256,
            "average": 0.998,
            "schedule": "trapezoid",
            "time_limit": 1200.0,
            "validate_every": 60.0,
        },
    ),
    TextRecipe(
        name="molecules-rae",
        description="the paper's plain RAE with the same encoder and a smaller decoder",
        training={**FAST, "time_limit": 1200.0, "validate_every": 60.0},
    ),
    TextRecipe(
        name="molecules-conv",
        description="molecules-rae with a convolutional encoder",
        encoder="conv",
        training={**FAST, "time_limit": 1200.0, "validate_every": 60.0},
    ),
    TextRecipe(
        name="expressions",
        description="arithmetic expressions in x, 12 productions and 64 macros",
        form="expression",
        max_length=32,
        codec_options={"grammar": "expressions", "n_macros": 64},
        encoder_options={"embedding": 32, "hidden": 64},
        decoder_options={"embedding": 32, "hidden": 128, "context": 32},
        latent=16,
        training={**FAST, "epochs": 10},
    ),
    TextRecipe(
        name="characters",
        description="the rival without a grammar: SMILES as characters, same nets",
        form="aromatic",
        max_length=128,
        codec="characters",
        codec_options={},
        training={**FAST, "time_limit": 1200.0, "validate_every": 60.0},
    ),
    TextRecipe(
        name="tiny",
        description="a toy of the recipe molecules-rae, for tests and first tries",
        codec_options={"grammar": "smiles", "n_macros": 64},
        encoder_options={"embedding": 16, "hidden": 24},
        decoder_options={"embedding": 16, "hidden": 48, "context": 16},
        latent=8,
        density="gaussian",
        density_options={},
        training={**FAST, "batch_size": 64, "epochs": 3, "warmup_steps": 5},
    ),
)
"""The recipes of texts."""


def learn_codec(recipe: TextRecipe, texts: Iterable[str]) -> Codec:
    """The recipe's codec, learned from texts."""
    codec: Codec = construct(
        CODECS[recipe.codec].learn,
        recipe.codec_options,
        texts,
        form=recipe.form,
        fragments=recipe.fragments,
        max_length=recipe.max_length,
    )
    return codec


def build_text(recipe: TextRecipe, codec: Codec) -> Parts:
    """The recipe's nets and density for a codec: random weights, by the seed of the recipe's training; not fitted.

    Raises
    ------
    InputError
        For options that a part does not take.
    """
    rules = codec.rules
    # A net may have weights for each position; without a limit on texts there is still a longest one in practice.
    max_length = codec.max_length or 1024
    return assemble(
        recipe,
        lambda n_outputs: construct(ENCODERS[recipe.encoder], recipe.encoder_options, rules, n_outputs, max_length),
        lambda latent, told: construct(
            DECODERS[recipe.decoder], {**recipe.decoder_options, **told}, rules, latent, max_length
        ),
        lambda: LIKELIHOODS[recipe.likelihood](rules),
    )


def build_constraint(spec: str | ConstraintSpec, codec: Codec, atoms: Mapping[str, int]) -> Constraint[Any]:
    """A constraint for a codec.

    Parameters
    ----------
    spec
        What is asked for, as a text or an object of :mod:`grammar_rae.decoding.specs`.
    codec
        What the codes mean.
    atoms
        The atoms of the data and the bonds that each can take, as of :attr:`TokenDataset.atoms`; only constraints on
        molecules look at them.

    Raises
    ------
    InputError
        For a text that names no constraint, or a constraint that the codec or the atoms cannot serve.
    """
    return parse_spec(spec).bind(codec, atoms)
