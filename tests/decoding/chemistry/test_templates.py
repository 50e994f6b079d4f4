"""Templates: each is in whatever is decoded, grown at its points alone, and stands in the way of nothing else."""

import itertools
import re

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
from decoding.chemistry.templated import TEMPLATES, contains, scripts, some_cut_molecules
from decoding.scripted import by_step, seeded
from derivations import molecules
from hypothesis import given
from hypothesis import strategies as st

from grammar_rae import chem
from grammar_rae.codecs import GrammarCodec
from grammar_rae.decoding import (
    AllOf,
    MaxHeavyAtoms,
    Point,
    RingSizes,
    ScaffoldPrefix,
    Template,
    beam_search,
    decode,
    decode_all,
    parse_spec,
)
from grammar_rae.decoding.chemistry import kernels, layout, policy
from grammar_rae.decoding.chemistry.constraint import allocate_work
from grammar_rae.errors import DecodingError, InputError

NAMES = ["smiles, 0", "smiles, 80"]
every_name = pytest.mark.parametrize("name", NAMES)
every_template = pytest.mark.parametrize("template", TEMPLATES)


@every_name
@every_template
def test_whatever_is_decoded_contains_the_template(name, template):
    constraint = bind(name, f"template={template}")
    found = set()
    for seed, logits in enumerate(scripts(constraint, 20).values()):
        for spare, temperature in ((0, 1.0), (2, 1.0), (30, 1.0), (30, 0.0)):
            texts = decode_texts(name, constraint, logits, 3, constraint.shortest + spare, temperature, seed)
            assert not [text for text in texts if not contains(text, template)]
            found |= set(texts)
    assert len(found) > 5


@every_name
def test_the_shortest_limit_is_the_shortest(name):
    for template in TEMPLATES:
        constraint = bind(name, f"template={template}")
        with pytest.raises(DecodingError, match=f"{constraint.shortest} or more"):
            constraint.start(1, constraint.shortest - 1)


@every_name
def test_questions_agree_and_the_policy_finishes(name):
    """W falls by one with the first token of the shortest way to go on, in holes and outside of them."""
    seen = set()
    for template in (TEMPLATES[2], TEMPLATES[13], TEMPLATES[14]):
        constraint = bind(name, f"template={template}")
        tables, trie = constraint._tables, constraint._macros.trie
        for step, state in enumerate(walk(constraint, 4, 3, constraint.shortest + 8)):
            candidates, allowed = constraint.candidates(state), constraint.allowed(state)
            assert not (allowed & ~candidates).any()
            _, written, fewest, distance = allocate_work(state.table)
            for number, row in enumerate(state.table):
                trial = row.copy()
                n = policy.finish(trial, 0, tables, 4000, written, distance)
                seen.add(bool(row[layout.HOLE]))
                if tables[layout.N_SIZES] == 0:
                    assert n >= 0
                    behind = kernels.tokens_behind(trial, tables)
                    if trial[layout.HOLE] == 0 and row[layout.HOLE] > 0:
                        assert policy.fewest_tokens(written, n, trie, fewest) + behind <= row[layout.LEFT]
                if step % 9 == 0:
                    one = state.rows(torch.tensor([number]))
                    for token in candidates[number].nonzero().flatten().tolist():
                        assert bool(constraint.refuses(one, torch.tensor([token]))) != bool(allowed[number, token])
    assert seen == {False, True}


def shape(template, text):
    """Whether a text is a template's text with chains in place of its points: by brackets and numbers alone."""
    literals, at, still_open = re.split(r"\[\*:\d\]", template), 0, set()
    for index, literal in enumerate(literals):
        if text[at : at + len(literal)] != literal:
            return False
        at += len(literal)
        for digit in re.findall(r"\d", literal):
            still_open ^= {digit}
        if index + 1 < len(literals):
            end, depth = at, 0
            while end < len(text) and (depth or text[end] != ")"):
                depth += (text[end] == "(") - (text[end] == ")")
                end += 1
            grown = text[at:end]
            digits = re.findall(r"\d", grown)
            if not grown or not grown[0].isalpha() or still_open & set(digits):
                return False
            if any(digits.count(digit) % 2 for digit in digits):
                return False
            at = end
    return at == len(text)


@pytest.mark.parametrize(
    "template",
    ["C[*:1]", "C1C([*:1])C1", "C([*:1])C", "C=C([*:1])O", "C([*:1])[*:2]", "O(C[*:1])[*:2]", "C([*:1])([*:2])[*:3]"],
)
def test_all_texts_of_a_small_grammar(template):
    """Those of the template's shape that RDKit sanitises, and no others. Neither knows of the other."""
    codec, n_points = small_codec(), template.count("*")
    room = 7 + n_points  # productions that grow
    constraint = Template(template).bind(codec, chem.capacities(["C", "O", "F"]))
    groups = {text: len(codec.encode_text(text)) - 1 for text in grammatical_texts(room + 1 - 3 * (n_points - 1))}
    expected = set()
    for grown in itertools.product(groups, repeat=n_points):
        if sum(groups[text] for text in grown) <= room:
            text = template
            for label, one in enumerate(grown, 1):
                text = text.replace(f"[*:{label}]", one)
            if shape(template, text) and chem.is_valid(text):
                expected.add(text)
    assert len(expected) > 15
    assert allowed_texts(constraint, constraint.shortest - 3 * n_points + room) == expected


@every_name
def test_no_real_molecule_that_contains_it_is_refused(name):
    codec, n = codec_of(name), 0
    for template, text in some_cut_molecules(molecules(1500)[:40], 5):
        batch = codec.encode_batch([text], prepared=True)
        if batch.rejected:  # a ring number, or a form of an atom that the grammar or the codec does not have
            continue
        constraint = Template(template).bind(codec, atoms_of(name))
        state = constraint.start(1, 277)
        for token in batch.tokens.astype(np.int64):
            choice = torch.tensor([token])
            assert constraint.candidates(state)[0, token] and not constraint.refuses(state, choice), (template, text)
            state = constraint.advance(state, choice)
        n += 1
    assert n > 20


@every_name
def test_beams_nuclei_and_all_steps_at_once_obey(name):
    template = TEMPLATES[1]
    constraint = bind(name, f"template={template}")
    limit, codec = constraint.shortest + 15, codec_of(name)
    logits = scripts(constraint, 6)["random"]
    drawn = [
        beam_search(by_step(logits), torch.zeros(3, 1), constraint, limit, 3),
        decode(by_step(logits), torch.zeros(6, 1), constraint, limit, 1.0, seeded(0), top_p=0.5),
        decode_all(torch.randn(20, limit, constraint.rules.size, generator=seeded(1)), constraint, 1.0, seeded(2)),
    ]
    for tokens in drawn:
        assert all(contains(text, template) for text in codec.decode_batch(tokens.numpy()))


def test_with_limits_on_the_whole_molecule():
    template = "C1CCN([*:1])CC1[*:2]"
    constraint = AllOf(Template(template), MaxHeavyAtoms(12), RingSizes(5, 6)).bind(
        codec_of("smiles, 80"), atoms_of("smiles, 80")
    )
    for logits in scripts(constraint, 11).values():
        for text in decode_texts("smiles, 80", constraint, logits, 20, constraint.shortest + 30):
            assert contains(text, template) and chem.heavy_atoms(text) <= 12
            assert {ring.size for ring in chem.ring_list(text)} <= {5, 6}


@pytest.mark.parametrize(
    "template", ["N[C@@]([*:1])(F)C(=O)O", "[C@](N)(F)([*:1])C(=O)O", "[*:1][C@@](N)(F)C(=O)O", "N[C@](F)(C(=O)O)[*:1]"]
)
def test_a_centre_keeps_its_parity(template):
    """The neighbour that grows stands where the point stood."""
    constraint = bind("smiles, 80", f"template={template} | 1: elements=Br")
    texts = decode_texts("smiles, 80", constraint, scripts(constraint, 3)["random"], 8, constraint.shortest + 6)
    assert {chem.canonical(text) for text in texts} == {chem.canonical(template.replace("[*:1]", "Br"))}


@given(
    st.builds(
        Point,
        max_heavy_atoms=st.none() | st.integers(1, 40),
        elements=st.none() | st.sampled_from(["CNO", "C", "FClBr"]),
        ring_sizes=st.none() | st.lists(st.integers(3, 100), max_size=3).map(tuple),
        optional=st.booleans(),
    )
    | st.just(Point(closed=True))
)
def test_points_and_their_texts(point):
    assert Point.parse(str(point)) == point
    spec = Template("CC[*:7]", {7: point})
    assert parse_spec(str(spec)) == spec
    assert str(parse_spec(str(spec))) == str(spec)


REFUSED = {
    "c1ccccc1": "no point",
    "c1cc[*:1]": "cannot read",
    "": "empty",
    "O=[*:1]": "not single",
    "C[*:1]C": "2 bonds",
    "[*:1]": "0 bonds",
    "[*:1][*:2]": "another point",
    "C[1*]": "isotope",
    "C(C)(C)(C)(C)[*:1]": "valence",
    "c1cccn1(C)[*:1]": "RDKit",
    "C[*:1].C": "no number in common",
    "C([*:1])C[*:1]": "same number",
    "C[*:1] | 2: optional": "no such point",
    "C[*:1] | 1: optional | 1: closed": "each point once",
    "C[*:1] | optional": "each point once",
    "C[*:1] | 1: big": "cannot be read",
    "C[*:1] | 1: max-heavy-atoms=0": "1 or more",
    "C[*:1] | 1: closed elements=C": "takes no limits",
    "C[*:1] | 1: elements=c": "symbols",
    "C[*:1] | 1: ring-sizes=2": "ring",
    "C[*:1] | 1: optional optional": "two values",
    "".join(f"C([*:{n}])" for n in range(1, 8)) + "C" + "".join(f" | {n}: optional" for n in range(1, 8)): "at most 6",
}


@pytest.mark.parametrize("text", REFUSED)
def test_texts_that_are_no_templates(text):
    with pytest.raises(InputError, match=REFUSED[text]):
        parse_spec(f"template={text}")


@pytest.mark.parametrize("smiles, points", [(7, None), ("C[*:1]", {1: "optional"}), ("C[*:1]", {2: Point()})])
def test_objects_that_are_no_templates(smiles, points):
    with pytest.raises(InputError):
        Template(smiles, points)


@pytest.mark.parametrize(
    "spec, reason",
    [
        ("template=[Au]C[*:1]", r"never had.*\[Au\]"),
        ("template=CC[*:1]; elements=N", "together"),
        ("template=CCO[*:1]; max-heavy-atoms=3", "together"),
        ("template=C1CC1[*:1]; ring-sizes=6", "together"),
        ("template=C[*:1] | 1: elements=Xe", "Xe"),
        ("template=C[*:1] | 1: elements=N; elements=CO", "together"),
        ("template=C[*:1]; template=N[*:1]", "one scaffold or template"),
        ("template=C[*:1]; scaffold-prefix=C", "one scaffold or template"),
        ("template=CI(C)(C)(C)[*:1]", "never had|together|cannot"),
        (f"template={'C' * 200}[*:1]", "longer than what the model writes"),
    ],
)
def test_what_cannot_be_bound(spec, reason):
    with pytest.raises(InputError, match=reason):
        parse_spec(spec).bind(codec_of("smiles, 0"), atoms_of("smiles, 0"))


def test_templates_need_a_grammar_that_spells_from_left_to_right():
    with pytest.raises(InputError, match="from left to right"):
        Template("C[*:1]").bind(codec_of("zinc, 0"), atoms_of("zinc, 0"))


def test_a_scaffold_and_a_template_are_different():
    """The one goes on freely from its last atom, closing rings there; the other grows at its point."""
    codec, atoms = small_codec(), chem.capacities(["C", "O", "F"])
    free = allowed_texts(ScaffoldPrefix("CO").bind(codec, atoms), 12)
    grown = allowed_texts(Template("CO[*:1]").bind(codec, atoms), 12)
    assert grown < free and "CO" in free - grown


def test_all_points_closed():
    constraint = Template("CC[*:1]", {1: Point(closed=True)}).bind(codec_of("smiles, 80"), atoms_of("smiles, 80"))
    logits = scripts(constraint, 1)["flat"]
    assert set(decode_texts("smiles, 80", constraint, logits, 5, 20)) == {"CC"}


def test_a_template_of_a_codec_without_a_limit():
    codec = GrammarCodec(form="kekule", table=codec_of("smiles, 0").macros)
    assert Template("C" * 200 + "[*:1]").bind(codec, atoms_of("smiles, 0")).shortest > 277
