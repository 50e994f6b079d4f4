"""The chemistry constraint: whatever the logits, a molecule comes out; whatever the molecule, it can be written."""

import numpy as np
import pytest
import torch
from decoding.chemistry.molecular import (
    allowed_texts,
    bind,
    codec_of,
    decode_texts,
    every_codec,
    grammatical_texts,
    molecule_scripts,
    refused_texts,
    small_codec,
)
from decoding.scripted import by_step, seeded
from derivations import molecules
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from grammar_rae import chem
from grammar_rae.codecs import CharacterCodec, GrammarCodec
from grammar_rae.decoding import Chemistry, beam_search, decode, decode_all
from grammar_rae.errors import DecodingError, InputError
from grammar_rae.grammar import Grammar


@every_codec
@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), spare=st.one_of(st.integers(0, 12), st.integers(0, 120)))
def test_any_logits_decode_to_a_molecule(name, seed, spare):
    constraint = bind(name)
    limit = constraint.shortest + spare
    dearest = torch.from_numpy(np.where(constraint.rules.usable, constraint.rules.cost, 0)).float()
    for kind, logits in molecule_scripts(constraint.rules, seed, dearest).items():
        for temperature in (0.0, 1.0):
            texts = decode_texts(name, constraint, logits, 5, limit, temperature, seed)
            assert all(map(chem.is_valid, texts)), (kind, texts)
            assert not codec_of(name).encode_batch(texts, prepared=True).rejected


@every_codec
def test_every_limit_from_the_smallest_upward(name):
    constraint = bind(name)
    logits = molecule_scripts(constraint.rules, 0, torch.zeros(constraint.rules.size))["never end"]
    for limit in range(constraint.shortest, constraint.shortest + 40):
        assert all(map(chem.is_valid, decode_texts(name, constraint, logits, 8, limit, seed=limit)))


@pytest.mark.slow
@every_codec
def test_many_random_logits(name):
    constraint = bind(name)
    for limit in (constraint.shortest, 20, 64, 277):
        for logits in molecule_scripts(constraint.rules, limit, torch.zeros(constraint.rules.size)).values():
            assert all(map(chem.is_valid, decode_texts(name, constraint, logits, 1000, limit)))


@every_codec
def test_limits_below_the_smallest_are_refused(name):
    shortest = bind(name).shortest
    with pytest.raises(DecodingError, match=f"limit {shortest - 1}; expected {shortest} or more"):
        bind(name).start(1, shortest - 1)


@every_codec
def test_beams_obey(name):
    constraint = bind(name)
    logits = molecule_scripts(constraint.rules, 5, torch.zeros(constraint.rules.size))["random"]
    tokens = beam_search(by_step(logits), torch.zeros(6, 1), constraint, 24, 3)
    assert all(map(chem.is_valid, codec_of(name).decode_batch(tokens.numpy())))


@every_codec
@settings(max_examples=6)
@given(seed=st.integers(0, 2**31), temperature=st.sampled_from([0.0, 1.0]))
def test_all_steps_at_once_obey(name, seed, temperature):
    constraint = bind(name)
    for scale in (0, 1, 100):
        logits = scale * torch.randn(70, 40, constraint.rules.size, generator=seeded(seed))
        tokens = decode_all(logits, constraint, temperature, seeded(seed))
        assert all(map(chem.is_valid, codec_of(name).decode_batch(tokens.numpy())))
    by_step = decode_texts(name, constraint, lambda step, row: logits[row, step], 70, 40, 0.0)
    assert codec_of(name).decode_batch(decode_all(logits, constraint).numpy()) == by_step


def test_all_steps_at_once_draw_as_step_by_step():
    """The first two tokens of a small grammar, drawn both ways often enough to compare."""
    codec, n = small_codec(), 20_000
    constraint = Chemistry().bind(codec, chem.capacities(["C", "O", "F"]))
    logits = torch.randn(1, 20, codec.rules.size, generator=seeded(1)).expand(n, -1, -1)
    ways = [
        decode_all(logits, constraint, 1.0, seeded(2)),
        decode(by_step(lambda step, row: logits[row, step]), torch.zeros(n, 1), constraint, 20, 1.0),
    ]
    for column in (2, 3, 4):
        counts = [torch.bincount(way[:, column] + 1, minlength=codec.rules.size + 1).double() for way in ways]
        often = sum(counts) > 20
        assert chi2_contingency(torch.stack(counts)[:, often].numpy()).pvalue > 1e-4


@every_codec
def test_nuclei_obey(name):
    constraint = bind(name)
    logits = molecule_scripts(constraint.rules, 6, torch.zeros(constraint.rules.size))["random"]
    generator = seeded(0)
    tokens = decode(by_step(logits), torch.zeros(6, 1), constraint, 24, 1.0, generator, top_p=0.5)
    assert all(map(chem.is_valid, codec_of(name).decode_batch(tokens.numpy())))


@every_codec
def test_no_real_molecule_is_refused(name):
    assert refused_texts(name, bind(name), molecules(1500), 277) == set()


def test_what_rdkit_reads_is_what_can_be_written():
    """All texts of a small grammar: those that RDKit sanitises, and no others. Neither knows of the other."""
    most = 14
    every = grammatical_texts(most)
    assert len(every) > 5_000
    constraint = Chemistry().bind(small_codec(), chem.capacities(["C", "O", "F"]))
    assert allowed_texts(constraint, most) == {text for text in every if chem.is_valid(text)}


@pytest.mark.parametrize(
    "codec",
    [
        GrammarCodec(form="aromatic", table=codec_of("smiles, 0").grammar),
        GrammarCodec(form="text", table=Grammar.from_text("S -> 'a' S | 'b'")),
        CharacterCodec.learn(["CCO"], form="kekule"),
    ],
    ids=["aromatic", "text", "characters"],
)
def test_codecs_that_chemistry_cannot_follow(codec):
    with pytest.raises(InputError, match="Kekulé"):
        Chemistry().bind(codec, {"C": 4})


def test_a_grammar_of_another_shape():
    codec = GrammarCodec(form="kekule", table=Grammar.from_text("smiles -> atom | atom smiles\natom -> 'C' | 'N'"))
    with pytest.raises(InputError, match="does not know"):
        Chemistry().bind(codec, {"C": 4})


def test_atoms_must_be_known():
    with pytest.raises(InputError, match="atoms"):
        Chemistry().bind(codec_of("smiles, 0"), {})


@every_codec
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_finite(name, value, temperature):
    def broken(step, row):
        logits = torch.zeros(len(row), codec_of(name).rules.size)
        logits[:, step % logits.shape[1]] = value
        return logits

    with pytest.raises(DecodingError, match="not finite"):
        decode(by_step(broken), torch.zeros(2, 1), bind(name), 30, temperature)


def test_nothing_allowed_is_finite():
    def never(step, row):
        return torch.full((len(row), codec_of("smiles, 0").rules.size), -torch.inf)

    for temperature in (0.0, 1.0):
        with pytest.raises(DecodingError, match="finite"):
            decode(by_step(never), torch.zeros(2, 1), bind("smiles, 0"), 30, temperature)


@every_codec
def test_a_batch_of_none(name):
    tokens = decode(by_step(lambda step, row: torch.zeros(0, 1)), torch.zeros(0, 1), bind(name), 30)
    assert tokens.shape == (0, 0)
    with pytest.raises(InputError, match="negative"):
        bind(name).start(-1, 30)


def test_a_token_that_is_not_allowed_is_not_taken():
    constraint = bind("smiles, 0")
    state = constraint.start(1, 30)
    with pytest.raises(DecodingError, match="not allowed"):
        constraint.advance(state, torch.tensor([codec_of("smiles, 0").rules.size - 1]))
