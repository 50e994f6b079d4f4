"""How much a model of texts reconstructs: the likeliest text of each code, and, with noise, drawn ones."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from grammar_rae.evaluation.results import Reconstruction
from grammar_rae.model import TextModel
from grammar_rae.seeds import wrap_seed

ENCODINGS = DECODINGS = 10
"""How often each text is encoded, and each code decoded, for the sampled reconstruction of Kusner et al. (2017)."""


def reconstruction(model: TextModel, asked: Sequence[str], constraint: str | None, seed: int) -> Reconstruction:
    """Encode and decode texts: what share comes back as the same canonical text.

    ``greedy`` counts all texts, those that the codec refuses among them, with the likeliest token at each step, and
    ``unpolished`` does so of codes as the encoder gives them.
    ``sampled`` is measured on a tenth as many, the first that the codec takes: each is encoded :data:`ENCODINGS` times
    with the encoder's noise, and each of these codes is decoded :data:`DECODINGS` times at temperature 1.
    """
    found = model.reconstruction(asked, constraint)
    polishes = model.recipe_.polish > 0
    unpolished = model.reconstruction(asked, constraint, polish=0).share if polishes else None
    texts = [text for index, text in enumerate(asked) if index not in found.rejected]
    if not texts:
        return Reconstruction(len(asked), found.refused, greedy=0.0, unpolished=unpolished)
    few = texts[: max(len(asked) // 10, 1)]
    wanted = np.repeat([model.codec.canonical(text) or "" for text in few], DECODINGS)
    hits = sum(int((drawn == wanted).sum()) for drawn in _decode_with_noise(model, few, constraint, seed))
    return Reconstruction(
        len(asked),
        found.refused,
        greedy=found.share,
        unpolished=unpolished,
        sampled=hits / (len(few) * ENCODINGS * DECODINGS),
        sampled_molecules=len(few),
        encodings=ENCODINGS,
        decodings=DECODINGS,
    )


def _decode_with_noise(
    model: TextModel, texts: list[str], constraint: str | None, seed: int
) -> Iterator[NDArray[np.str_]]:
    """For each encoding, the decodings of the first text, then those of the second, and so on."""
    for turn in (wrap_seed(seed * ENCODINGS + i) for i in range(ENCODINGS)):
        z = np.repeat(model.encode(texts, noise=True, seed=turn), DECODINGS, axis=0)
        yield np.array(model.decode(z, temperature=1.0, seed=turn, constraint=constraint))
