"""Linked pieces and closed rings: every draw has them, all other linkers are allowed, and nothing else is."""

import itertools

import numpy as np
import pytest
import torch
from decoding.chemistry.molecular import (
    allowed_texts,
    atoms_of,
    bind,
    codec_of,
    decode_texts,
    grammatical_texts,
    small_codec,
    walk,
)
from decoding.chemistry.templated import JOINED, contains_joined, scripts, some_bridged_molecules, some_linked_molecules
from derivations import molecules

from grammar_rae import chem
from grammar_rae.decoding import AllOf, MaxHeavyAtoms, Point, Template, parse_spec
from grammar_rae.decoding.chemistry import kernels, layout, policy
from grammar_rae.decoding.chemistry.constraint import allocate_work
from grammar_rae.decoding.chemistry.holes import find_shorter, find_twin
from grammar_rae.errors import DecodingError, InputError

every_name = pytest.mark.parametrize("name", ["smiles, 0", "smiles, 80"])


@every_name
@pytest.mark.parametrize("template", JOINED)
def test_whatever_is_decoded_joins_what_was_asked(name, template):
    constraint = bind(name, f"template={template}")
    found = set()
    for seed, logits in enumerate(scripts(constraint, 20).values()):
        for spare, temperature in ((0, 1.0), (3, 1.0), (30, 1.0), (30, 0.0)):
            texts = decode_texts(name, constraint, logits, 2, constraint.shortest + spare, temperature, seed)
            assert not [text for text in texts if not contains_joined(text, template)]
            found |= set(texts)
    assert len(found) > 5
    with pytest.raises(DecodingError, match=f"{constraint.shortest} or more"):
        constraint.start(1, constraint.shortest - 1)


def test_questions_agree_and_the_policy_finishes():
    """In a linker, within a match, and where a ring is awaited."""
    seen = set()
    for template in (JOINED[1], JOINED[3], JOINED[8]):
        constraint = bind("smiles, 80", f"template={template}")
        tables, trie = constraint._tables, constraint._macros.trie
        for state in walk(constraint, 5, 2, constraint.shortest + 12):
            candidates, allowed = constraint.candidates(state), constraint.allowed(state)
            assert not (allowed & ~candidates).any() and allowed.any(dim=1).all()
            _, written, fewest, distance = allocate_work(state.table)
            for row in state.table:
                trial = row.copy()
                n = policy.finish(trial, 0, tables, 4000, written, distance)
                seen.add((bool(row[layout.HOLE]), bool(row[layout.MATCHED])))
                assert n >= 0
                if trial[layout.HOLE] == 0 and row[layout.HOLE] > 0:
                    behind = kernels.tokens_behind(trial, tables)
                    assert policy.fewest_tokens(written, n, trie, fewest) + behind <= row[layout.LEFT]
    assert seen == {(False, False), (True, False), (True, True)}


def closed(text):
    """Whether each ring number is there an even number of times."""
    return all(text.count(digit) % 2 == 0 for digit in "12")


@pytest.mark.parametrize(
    "first, second, after",
    [
        ("C", "O", ""),
        ("O", "CC", ""),  # its beginning is its end
        ("C(", "O", ")C"),
        ("C1C(", "O", ")C1"),  # a ring is open around the linker
    ],
)
def test_all_linkers_of_a_small_grammar(first, second, after):
    """Those between two pieces that RDKit sanitises, and no others: the list is written by putting in every text."""
    codec, room = small_codec(), 8
    template = f"{first}[*:1]{after}.[*:1]{second}"
    constraint = Template(template).bind(codec, chem.capacities(["C", "O", "F"]))
    expected = set()
    for one in grammatical_texts(room + 1):
        text = first + one + second + after
        if chem.is_valid(text) and closed(one) and not (set("12") & set(first) & set(one)):
            expected.add(text)
    assert len(expected) > 8
    # A linker of one atom takes 3 productions, of which the last, that nothing follows, is the way to the piece.
    assert allowed_texts(constraint, constraint.shortest - 3 + room, 6) == expected


def test_all_bridges_of_a_small_grammar():
    """The ring 1, open before, is closed once by a single bond; then its number may be used again."""
    codec, room = small_codec(), 9
    constraint = Template("C([*:1])CC[*:1]", rings=True).bind(codec, chem.capacities(["C", "O", "F"]))
    expected = set()
    for one in grammatical_texts(room + 1):
        closes = one.count("1") % 2 == 1 and one.count("2") % 2 == 0 and one[one.index("1") - 1] not in "=#"
        if closes and chem.is_valid(f"C1CC{one}"):
            expected.add(f"C1CC{one}")
    assert len(expected) > 8
    # A bridge of one atom takes 6 productions: the chain, the atom, the ring bond behind it, and that nothing follows.
    assert allowed_texts(constraint, constraint.shortest - 6 + room) == expected


def test_matches_are_the_longest_that_may_begin():
    """A beginning of the piece within it counts on the spine, with no ring of the piece open, and nowhere else."""
    grammar, codec = small_codec().macros.grammar, small_codec()

    def shorter(text):
        derivation = [*map(int, codec.encode_text(f"O{text}"))]
        piece = tuple(derivation[3:])  # smiles, chain, O; then that the chain goes on
        assert find_twin(grammar, piece[0]) not in (-1, piece[0])
        return piece, find_shorter(grammar, piece)

    piece, found = shorter("CCCO")
    for length, kept in enumerate(found):
        options = [k for k in range(length) if piece[:k] == piece[length - k : length]]
        assert kept == (max(options) if 0 < length < len(piece) else 0)
    assert max(shorter("C1CC1")[1]) < 4  # within the ring nothing begins
    assert max(shorter("C(CC)O")[1][:9]) < 3  # nor in a branch


def test_no_real_molecule_is_refused():
    name = "smiles, 80"
    codec, n, rows = codec_of(name), 0, molecules(1500)[:48]
    for template, text in itertools.chain(some_linked_molecules(rows, 5), some_bridged_molecules(rows, 6)):
        batch = codec.encode_batch([text], prepared=True)
        if batch.rejected:
            continue
        constraint = parse_spec(f"template={template}").bind(codec, atoms_of(name))
        state = constraint.start(1, 277)
        for token in batch.tokens.astype(np.int64):
            choice = torch.tensor([token])
            assert constraint.candidates(state)[0, token] and not constraint.refuses(state, choice), (template, text)
            state = constraint.advance(state, choice)
        n += 1
    assert n > 20


def test_limits_hold_for_the_linker_alone():
    """The pieces have rings, elements and more atoms than the linker may have."""
    template = "FC1CCC1[*:1].[*:1]SC1CCCC1[*:2] | 1: max-heavy-atoms=3 elements=CO ring-sizes=3 | 2: elements=N"
    constraint = bind("smiles, 80", f"template={template}")
    found = set()
    for seed, logits in enumerate(scripts(constraint, 3).values()):
        texts = decode_texts("smiles, 80", constraint, logits, 8, constraint.shortest + 20, 1.0, seed)
        assert all(contains_joined(text, template) for text in texts)
        found |= set(texts)
    assert any("C2CC2" in text or "C3CC3" in text or "1CC1" in text for text in found)


def test_a_centre_that_a_linker_hangs_on_keeps_its_parity():
    template = "C[C@@](F)(O)[*:1].[*:1][C@@](F)(O)N | 1: max-heavy-atoms=1 elements=S"
    constraint = bind("smiles, 80", f"template={template}")
    texts = decode_texts("smiles, 80", constraint, scripts(constraint, 3)["random"], 4, constraint.shortest + 6)
    assert {chem.canonical(text) for text in texts} == {chem.canonical("C[C@@](F)(O)S[C@@](F)(O)N")}
    constraint = bind("smiles, 80", "template=N[C@@](F)([*:1])CCO[*:1] | rings | 1: max-heavy-atoms=1 elements=S")
    texts = decode_texts("smiles, 80", constraint, scripts(constraint, 3)["random"], 4, constraint.shortest + 6)
    assert {chem.canonical(text) for text in texts} == {chem.canonical("N[C@@](F)(S1)CCO1")}


def test_a_limit_on_the_whole_molecule():
    template = "C1CC1[*:1].[*:1]N1CCOCC1"
    constraint = AllOf(Template(template), MaxHeavyAtoms(12)).bind(codec_of("smiles, 80"), atoms_of("smiles, 80"))
    for logits in scripts(constraint, 11).values():
        for text in decode_texts("smiles, 80", constraint, logits, 10, constraint.shortest + 30):
            assert contains_joined(text, template) and chem.heavy_atoms(text) <= 12


REFUSED = {
    "C[*:1].N[*:2]": "no number in common",
    "C[*:1].N": "no number in common",
    "C[*:1].N[*:1].O[*:1]": "two that are linked",
    "C([*:1])C[*:1]": "not asked for",
    "C([*:1])[*:2].N([*:1])[*:2]": "not asked for",
    "C([*:1])([*:1])C[*:1] | rings": "more than two",
    "CC[*:1] | rings": "no ring can be closed",
    "C[*:1].N[*:1] | 1: optional": "cannot stay empty",
    "C([*:1])C[*:1] | rings | 1: closed": "cannot stay empty",
    "C[*:1].[*:1][*:1]": "another point",
    "C=[*:1].N[*:1]": "not single",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_joined(text):
    with pytest.raises(InputError, match=REFUSED[text]):
        parse_spec(f"template={text}")


@pytest.mark.parametrize(
    "spec, reason",
    [
        ("template=C[*:1].[Au]C[*:1]", r"never had.*\[Au\]"),
        ("template=C[*:1].N[*:1] | 1: elements=F", "together"),
        ("template=C[*:1].CCO[*:1]; max-heavy-atoms=4", "together"),
        ("template=C([*:1])CC[*:1] | rings; ring-sizes=6", "whole molecule"),
        ("template=C([*:1])CC[*:1] | rings | 1: elements=F", "together"),
        ("template=C(/[*:1])=C/C[*:1] | rings", "marked bond"),
        (f"template=C[*:1].{'C' * 200}[*:1]", "longer than what the model writes"),
    ],
)
def test_what_cannot_be_bound(spec, reason):
    with pytest.raises(InputError, match=reason):
        parse_spec(spec).bind(codec_of("smiles, 0"), atoms_of("smiles, 0"))


def test_specs_and_their_texts():
    spec = Template("C([*:1])CC[*:1]", {1: Point(max_heavy_atoms=7)}, rings=True)
    assert str(spec) == "template=C([*:1])CC[*:1] | rings | 1: max-heavy-atoms=7" and parse_spec(str(spec)) == spec
