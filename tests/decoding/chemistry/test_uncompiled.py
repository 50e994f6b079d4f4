"""Kernels that are left to Python answer as the compiled ones do, to the bit, and write the same."""

import copy

import numpy as np
import pytest
from decoding.chemistry.molecular import bind, walk
from decoding.chemistry.templated import JOINED, TEMPLATES

import grammar_rae
from grammar_rae.decoding import parse_spec
from grammar_rae.decoding.chemistry import kernels, policy
from grammar_rae.decoding.chemistry.constraint import allocate_work
from grammar_rae.kernels import in_python

SPECS = ["chemistry", "ring-sizes=5,6", f"template={TEMPLATES[13]}", f"template={JOINED[3]}"]


def assert_same(kernel, *arguments):
    compiled, uncompiled = copy.deepcopy(arguments), copy.deepcopy(arguments)
    expected, found = kernel(*compiled), in_python(kernel)(*uncompiled)
    assert np.asarray(found).dtype.kind == np.asarray(expected).dtype.kind
    np.testing.assert_array_equal(found, expected)
    for one, other in zip(flat(compiled), flat(uncompiled), strict=True):
        np.testing.assert_array_equal(other, one)


def flat(arguments):
    for one in arguments:
        yield from flat(one) if isinstance(one, tuple) else [one]


@pytest.fixture(scope="module")
def box():
    """The bundled model, whose tables are longer than int16 can count."""
    model = grammar_rae.load("molecules")
    assert len(parse_spec("chemistry").bind(model.codec, model.atoms_)._tables) > np.iinfo(np.int16).max
    return model


@pytest.mark.parametrize(("spec", "bundled"), [*((spec, False) for spec in SPECS), (SPECS[0], True), (SPECS[2], True)])
def test_python_answers_as_compiled_code_does(spec, bundled, box):
    constraint = parse_spec(spec).bind(box.codec, box.atoms_) if bundled else bind("smiles, 80", spec)
    tables, trie, random = constraint._tables, constraint._macros.trie, np.random.default_rng(0)
    for step, state in enumerate(walk(constraint, 3, 4, constraint.shortest + 12)):
        rows, candidates = state.table, constraint.candidates(state).numpy()
        room = tuple(np.zeros_like(one) for one in (rows[0], *allocate_work(rows)))
        after, work = room[0], room[1:]
        assert_same(kernels.find_allowed, rows, candidates, after, tables, trie, work)
        assert_same(kernels.find_refused, rows, candidates.argmax(axis=1), after, tables, trie, work)
        assert_same(kernels.advance, rows, random.integers(0, constraint.rules.size, len(rows)), tables)
        for row in rows:
            assert_same(policy.finish, row, step % 2, tables, len(work[1]), work[1], work[3])
        logits = random.normal(0, 3, candidates.shape).astype(np.float32)
        level, factor = random.random(len(rows)), 0.7 / np.log(2)
        # Where the weights underflow, others are computed; where the factor is 0, the likeliest token is drawn.
        likely = np.exp2((logits - logits.max(axis=1, keepdims=True)) * np.float32(factor))
        for weights, heat in ((likely, factor), (np.zeros_like(likely), factor), (np.zeros_like(likely), 0.0)):
            tokens = constraint._fitting_tokens, constraint._budget, tables, trie
            assert_same(kernels.draw_tokens, rows, np.zeros_like(rows), logits, weights, level, heat, *tokens, work)
