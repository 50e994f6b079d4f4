"""Recipes of the paper's second half: the grammar RAE and its rivals on molecules and on expressions.

``grae-molecules``, ``gvae-molecules``, ``gcvvae-molecules``, ``cvae-molecules`` and the same four for expressions have
the nets, lengths and settings of Kusner, Paige and Hernández-Lobato (ICML 2017), which the RAE's paper adopts, with
their grammars and one token a production. ``fast-`` before a name keeps the objective, and takes macros, molecules in
Kekulé form, the autoregressive decoder and the likelihood of a token, for machines without a GPU.

The original cost is the sum over steps and rules of the binary cross-entropy, divided by the number of rules R, and the
*mean* over latent dimensions of the KL divergence: in costs that are sums, the divergence has the weight R / D.

These recipes differ from the original:

- PyTorch's GRU (see :mod:`grammar_rae.nets.grammar_vae`), and its first weights.
- Molecules are canonical SMILES of RDKit; the original takes the file's as they are.
- The validating tenth is drawn at random; the original takes the last one.
- A character model ends a text with one token of its own; the original pads texts with blanks and predicts those.
- Neither paper states the weights of GRAE (here as small as beta = 0.01, with the squares of the decoder's weights) nor
  the constant scale of GCVVAE (here that of the original's noise, 0.01).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from grammar_rae.errors import UnknownNameError
from grammar_rae.recipes.texts import FAST, TextRecipe


class StructuredModel(NamedTuple):
    """A row of the study, without its nets: the fields of a recipe.

    ``kl`` says that ``beta`` is the original's R / D. A model of characters has no grammar.
    """

    description: str
    fields: Mapping[str, Any]
    kl: bool = True
    characters: bool = False


_DRAWN_TO_PRIOR = {"density": "prior", "density_options": {}}
_GVAE_OPTIONS = {"noise": 0.01, "bound": None}

STRUCTURED_MODELS: dict[str, StructuredModel] = {
    "grae": StructuredModel(
        "grammar RAE",
        {
            "objective": "rae",
            "objective_options": {"beta": 0.01},
            "regularizer": "l2",
            "regularizer_options": {"weight": 1e-6},
        },
        kl=False,
    ),
    "gvae": StructuredModel("grammar VAE", {"objective": "vae", "objective_options": _GVAE_OPTIONS, **_DRAWN_TO_PRIOR}),
    "gcvvae": StructuredModel(
        "grammar VAE of constant variance",
        {"objective": "cv-vae", "objective_options": {"scale": 0.01}, **_DRAWN_TO_PRIOR},
    ),
    "cvae": StructuredModel(
        "character VAE",
        {"objective": "vae", "objective_options": _GVAE_OPTIONS, **_DRAWN_TO_PRIOR},
        characters=True,
    ),
}
"""The models of the study, in its order."""


class Problem(NamedTuple):
    """The original's settings for one kind of texts.

    ``rules`` and ``characters`` are the sizes of the two codecs, lengths the most tokens of each.
    """

    grammar: str
    form: str
    rules: int
    max_length: int
    characters: int
    max_characters: int
    latent: int
    encoder: Mapping[str, Any]
    decoder: Mapping[str, Any]
    training: Mapping[str, Any]
    fast: Mapping[str, Any]
    """The fields of a ``fast-`` recipe."""


_ADAM = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "plateau",
    "plateau_factor": 0.2,
    "minimum_rate": 1e-4,
    "gradient_clip": None,
    "precision": "32-true",
}
# The plateau schedule of the original's library began to count at the second validation without a better loss.
_COUNTED_LATE = 1

STRUCTURED_PROBLEMS: dict[str, Problem] = {
    "molecules": Problem(
        grammar="zinc",
        form="aromatic",
        rules=76,
        max_length=277,
        characters=35,
        max_characters=120,
        latent=56,
        encoder={"channels": [9, 9, 10], "widths": [9, 9, 11], "dense": 435},
        decoder={"hidden": 501},
        training={**_ADAM, "batch_size": 500, "epochs": 100, "plateau_patience": 3 + _COUNTED_LATE},
        fast={
            "form": "kekule",
            "max_length": 64,
            "codec_options": {"grammar": "smiles", "n_macros": 512},
            "training": {**FAST, "epochs": 20},
        },
    ),
    "expressions": Problem(
        grammar="expressions",
        form="expression",
        rules=12,
        max_length=15,
        characters=15,
        max_characters=20,
        latent=25,
        encoder={"channels": [2, 3, 4], "widths": [2, 3, 4], "dense": 100, "batch_norm": True},
        decoder={"hidden": 100, "batch_norm": True},
        training={**_ADAM, "batch_size": 600, "epochs": 50, "plateau_patience": 1 + _COUNTED_LATE},
        fast={
            "form": "expression",
            "max_length": 32,
            "codec_options": {"grammar": "expressions", "n_macros": 64},
            "encoder_options": {"embedding": 32, "hidden": 64},
            "decoder_options": {"embedding": 32, "hidden": 128, "context": 32},
            "training": {**FAST, "epochs": 10},
        },
    ),
}
"""The two problems of the study."""


def structured_recipe(model: str, problem: str, fast: bool = False) -> TextRecipe:
    """The recipe of a row of :data:`STRUCTURED_MODELS` for a row of :data:`STRUCTURED_PROBLEMS`.

    Raises
    ------
    UnknownNameError
        For a name that is in none of the tables.
    """
    if model not in STRUCTURED_MODELS:
        raise UnknownNameError("model of the study", model, STRUCTURED_MODELS)
    if problem not in STRUCTURED_PROBLEMS:
        raise UnknownNameError("problem", problem, STRUCTURED_PROBLEMS)
    row, data = STRUCTURED_MODELS[model], STRUCTURED_PROBLEMS[problem]
    size = data.characters if row.characters else data.rules
    chosen = dict(row.fields)
    if row.kl:
        chosen["objective_options"] = {"beta": size / data.latent, **chosen["objective_options"]}
    if fast:
        chosen |= data.fast
    else:
        chosen |= {
            "form": data.form,
            "max_length": data.max_length,
            "codec_options": {"grammar": data.grammar, "n_macros": 0},
            "encoder": "grammar-vae",
            "encoder_options": data.encoder,
            "decoder": "grammar-vae",
            "decoder_options": data.decoder,
            "likelihood": "binary",
            "training": data.training,
        }
    if row.characters:
        chosen |= {"codec": "characters", "codec_options": {}, "form": data.form, "max_length": data.max_characters}
    return TextRecipe(
        name=f"{'fast-' if fast else ''}{model}-{problem}",
        description=f"{row.description} on {problem}, "
        + ("macros and an autoregressive decoder" if fast else "nets and settings of the grammar VAE"),
        latent=data.latent,
        validation_fraction=0.1,
        validation_maximum=25_000,
        codec_texts=20_000,
        **chosen,
    )


STRUCTURED_RECIPES: tuple[TextRecipe, ...] = tuple(
    structured_recipe(model, problem, fast)
    for fast in (False, True)
    for problem in STRUCTURED_PROBLEMS
    for model in STRUCTURED_MODELS
)
"""Every model on every problem, as in the paper and fast."""
