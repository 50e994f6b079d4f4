"""Real molecules cut into two pieces, or with a ring cut open, as templates: draws checked by RDKit alone.

Each template is a molecule without what lies between two places of it; the molecule itself must not be refused.
``LINKERS=10 RINGS=5 DRAWS=12 pytest -m slow -s tests/campaigns/test_linking.py`` takes fewer of them.
"""

import gzip
import os
from collections import Counter
from functools import cache
from itertools import chain, islice

import numpy as np
import pytest
import torch
from decoding.chemistry.templated import contains_joined, scripts, some_bridged_molecules, some_linked_molecules
from decoding.scripted import by_step, seeded
from derivations import ZINC

import grammar_rae
from grammar_rae.decoding import decode, parse_spec

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not ZINC.is_file(), reason="needs ZINC beside the project")]
N_LINKERS, N_RINGS, N_DRAWS, N_REAL = (
    int(os.environ.get(name, n)) for name, n in (("LINKERS", 50), ("RINGS", 20), ("DRAWS", 100), ("REAL", 1000))
)


@cache
def model():
    """The broadest model in the box: with charges and stereo marks."""
    return grammar_rae.load("molecules")


def rows(every):
    with gzip.open(ZINC, "rt", encoding="utf-8") as lines:
        return [line.split()[0] for line in islice(lines, every // 3, None, every)]


def readable(pairs):
    """(Template, tokens of the molecule) where the model's codec can write that."""
    codec = model().codec
    for template, text in pairs:
        batch = codec.encode_batch([text], prepared=True)
        if not batch.rejected and len(batch.tokens) <= codec.max_length:
            yield template, batch.tokens.astype(np.int64)


def is_refused(constraint, tokens, limit):
    state = constraint.start(1, max(limit, constraint.shortest))
    for token in tokens:
        choice = torch.tensor([token])
        if not constraint.candidates(state)[0, token] or constraint.refuses(state, choice):
            return True
        state = constraint.advance(state, choice)
    return False


def test_draws():
    codec, limit, counts = model().codec, model().codec.max_length, Counter()
    linked = islice(readable(some_linked_molecules(rows(97), 1)), N_LINKERS)
    bridged = islice(readable(some_bridged_molecules(rows(53), 2)), N_RINGS)
    for index, (template, tokens) in enumerate(chain(linked, bridged)):
        constraint = parse_spec(f"template={template}").bind(codec, model().atoms_)
        kinds = scripts(constraint, index)
        for number, logits in enumerate(kinds.values()):
            most = (limit, constraint.shortest, constraint.shortest + 8)[(index + number) % 3]
            drawn = decode(
                by_step(logits), torch.zeros(-(-N_DRAWS // len(kinds)), 1), constraint, most, 1.0, seeded(index)
            )
            texts = codec.decode_batch(drawn.numpy())
            counts["senseless draws"] += len(texts)
            counts["right"] += sum(contains_joined(text, template) for text in texts)
        texts = model().sample(N_DRAWS, valid_only=False, constraint=f"template={template}", seed=index).texts
        counts["model's draws"] += len(texts)
        counts["right ones of the model"] += sum(contains_joined(text, template) for text in texts)
        counts["different"] += len(set(texts))
        counts["refused"] += is_refused(constraint, tokens, limit)
        counts["rings" if "| rings" in template else "linkers"] += 1
        if index % 10 == 9:
            print(index + 1, "templates:", dict(counts), flush=True)
    print(dict(counts))
    assert counts["right"] == counts["senseless draws"] > 0 == counts["refused"]
    assert counts["right ones of the model"] == counts["model's draws"]


def test_real_molecules():
    """None that contains the pieces is refused, in the template's order."""
    walked = Counter()
    for kind, pairs in (
        ("linked", some_linked_molecules(rows(211), 3)),
        ("ring", some_bridged_molecules(rows(101), 4)),
    ):
        for template, tokens in islice(readable(pairs), N_REAL // 2):
            constraint = parse_spec(f"template={template}").bind(model().codec, model().atoms_)
            assert not is_refused(constraint, tokens, model().codec.max_length), template
            walked[kind] += 1
    print("\nwalked:", dict(walked), "refused: none")
