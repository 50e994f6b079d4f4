"""The chemistry constraint: whatever the logits, a molecule comes out; whatever the molecule, it can be written."""

import itertools
import random
from functools import cache

import numpy as np
import pytest
import torch
from derivations import molecules
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from scipy.stats import chi2_contingency, chisquare

from grammar_rae import chem
from grammar_rae.codecs import CharacterCodec, GrammarCodec
from grammar_rae.decoding import (
    AllOf,
    Chemistry,
    Elements,
    Grammatical,
    MaxHeavyAtoms,
    RingSizes,
    ScaffoldPrefix,
    Unconstrained,
    beam_search,
    bounds,
    choice_of,
    decode,
    decode_all,
    finish,
    machine,
)
from grammar_rae.decoding.chemistry import _room
from grammar_rae.errors import DecodingError, InputError, UnknownNameError
from grammar_rae.grammar import Grammar, MacroTable

CODECS = ["smiles, 0", "smiles, 80", "zinc, 0", "zinc, 80"]
every_codec = pytest.mark.parametrize("name", CODECS)
BRACKETS = ["[O-]", "[N+]", "[NH+]", "[NH2+]", "[C@@H]", "[C@H]", "[C@]", "[S@@]", "[N-]", "[OH+]", "[2H]", "[Si]"]


@cache
def codec_of(name):
    grammar, macros = name.split(", ")
    return GrammarCodec.learn(molecules(300), grammar=grammar, n_macros=int(macros), form="kekule", max_length=277)


@cache
def atoms_of(name):
    return chem.capacities([*chem.ORGANIC, *BRACKETS, *codec_of(name).encode_batch(molecules(2000)).atoms])


@cache
def bound(name, choice="chemistry"):
    return choice_of(choice).bind(codec_of(name), atoms_of(name))


class Given:
    """A decoder whose logits are a function of (step, rows)."""

    def __init__(self, logits):
        self.logits, self.steps = logits, 0

    def begin(self, z):
        return Rows(torch.arange(len(z)))

    def step(self, state, previous, lhs):
        self.steps += 1
        return self.logits(self.steps - 1, state.row), state


class Rows:
    def __init__(self, row):
        self.row = row

    def rows(self, keep):
        return Rows(self.row[keep])


def scripts(rules, seed, dearest):
    """Flat, random and peaked logits, and those that always prefer what costs most, opens most, or comes last."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(40, rules.size, generator=generator)
    return {
        "flat": lambda step, row: torch.zeros(len(row), rules.size),
        "random": lambda step, row: noise[(step + row) % 40],
        "peaked": lambda step, row: 100 * noise[(step + 3 * row) % 40],
        "dearest": lambda step, row: dearest.expand(len(row), -1),
        "last": lambda step, row: torch.arange(rules.size).float().expand(len(row), -1),
        "never end": lambda step, row: noise[(step + row) % 40] + 1000 * torch.from_numpy(rules.arity > 0),
    }


def decoded(name, constraint, logits, n, limit, temperature=1.0, seed=0):
    decoder = Given(logits)
    tokens = decode(decoder, torch.zeros(n, 1), constraint, limit, temperature, torch.Generator().manual_seed(seed))
    assert decoder.steps <= limit
    return codec_of(name).decode_batch(tokens.numpy())


# -- nothing fails ----------------------------------------------------------------------------------------------------


@every_codec
@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), spare=st.one_of(st.integers(0, 12), st.integers(0, 120)))
def test_any_logits_decode_to_a_molecule(name, seed, spare):
    constraint = bound(name)
    limit = constraint.shortest + spare
    dearest = torch.from_numpy(np.where(constraint.rules.usable, constraint.rules.cost, 0)).float()
    for kind, logits in scripts(constraint.rules, seed, dearest).items():
        for temperature in (0.0, 1.0):
            texts = decoded(name, constraint, logits, 5, limit, temperature, seed)
            assert all(map(chem.is_valid, texts)), (kind, texts)
            assert not codec_of(name).encode_batch(texts, prepared=True).rejected


@every_codec
def test_every_limit_from_the_smallest_upward(name):
    constraint = bound(name)
    logits = scripts(constraint.rules, 0, torch.zeros(constraint.rules.size))["never end"]
    for limit in range(constraint.shortest, constraint.shortest + 40):
        assert all(map(chem.is_valid, decoded(name, constraint, logits, 8, limit, seed=limit)))


@pytest.mark.slow
@every_codec
def test_many_random_logits(name):
    constraint = bound(name)
    for limit in (constraint.shortest, 20, 64, 277):
        for logits in scripts(constraint.rules, limit, torch.zeros(constraint.rules.size)).values():
            assert all(map(chem.is_valid, decoded(name, constraint, logits, 1000, limit)))


@every_codec
def test_limits_below_the_smallest_are_refused(name):
    shortest = bound(name).shortest
    with pytest.raises(DecodingError, match=f"limit {shortest - 1}; expected {shortest} or more"):
        bound(name).start(1, shortest - 1)


@every_codec
def test_beams_obey(name):
    constraint = bound(name)
    logits = scripts(constraint.rules, 5, torch.zeros(constraint.rules.size))["random"]
    tokens = beam_search(Given(lambda step, row: logits(step, row)), torch.zeros(6, 1), constraint, 24, 3)
    assert all(map(chem.is_valid, codec_of(name).decode_batch(tokens.numpy())))


@every_codec
@settings(max_examples=6)
@given(seed=st.integers(0, 2**31), temperature=st.sampled_from([0.0, 1.0]))
def test_all_steps_at_once_obey(name, seed, temperature):
    constraint = bound(name)
    for scale in (0, 1, 100):
        logits = scale * torch.randn(70, 40, constraint.rules.size, generator=torch.Generator().manual_seed(seed))
        tokens = decode_all(logits, constraint, temperature, torch.Generator().manual_seed(seed))
        assert all(map(chem.is_valid, codec_of(name).decode_batch(tokens.numpy())))
    by_step = decoded(name, constraint, lambda step, row: logits[row, step], 70, 40, 0.0)
    assert codec_of(name).decode_batch(decode_all(logits, constraint).numpy()) == by_step


def test_all_steps_at_once_draw_as_step_by_step():
    """The first two tokens of a small grammar, drawn both ways often enough to compare."""
    codec, n = small_codec(), 20_000
    constraint = Chemistry().bind(codec, chem.capacities(["C", "O", "F"]))
    logits = torch.randn(1, 20, codec.rules.size, generator=torch.Generator().manual_seed(1)).expand(n, -1, -1)
    ways = [
        decode_all(logits, constraint, 1.0, torch.Generator().manual_seed(2)),
        decode(Given(lambda step, row: logits[row, step]), torch.zeros(n, 1), constraint, 20, 1.0),
    ]
    for column in (2, 3, 4):
        counts = [torch.bincount(way[:, column] + 1, minlength=codec.rules.size + 1).double() for way in ways]
        often = sum(counts) > 20
        assert chi2_contingency(torch.stack(counts)[:, often].numpy()).pvalue > 1e-4


@every_codec
def test_nuclei_obey(name):
    constraint = bound(name)
    logits = scripts(constraint.rules, 6, torch.zeros(constraint.rules.size))["random"]
    generator = torch.Generator().manual_seed(0)
    tokens = decode(Given(logits), torch.zeros(6, 1), constraint, 24, 1.0, generator, top_p=0.5)
    assert all(map(chem.is_valid, codec_of(name).decode_batch(tokens.numpy())))


# -- nothing real is refused ------------------------------------------------------------------------------------------


def refused_texts(name, constraint, texts, limit):
    """The texts, in Kekulé form, of which the constraint refuses a token."""
    codec = codec_of(name)
    batch = codec.encode_batch(texts)
    tokens = [batch.tokens[a:b].astype(np.int64) for a, b in itertools.pairwise(batch.offsets)]
    table = torch.full((len(tokens), max(map(len, tokens))), -1)
    for row, one in enumerate(tokens):
        table[row, : len(one)] = torch.from_numpy(one)
    rows, state, refused = torch.arange(len(tokens)), constraint.start(len(tokens), limit), set()
    for step in range(table.shape[1]):
        choice = table[rows, step]
        bad = constraint.refused(state, choice) | ~constraint.candidates(state).gather(1, choice.unsqueeze(1)).squeeze(
            1
        )
        refused |= set(rows[bad].tolist())
        kept = (~bad).nonzero().squeeze(1)
        rows, state = rows[kept], constraint.advance(state.rows(kept), choice[kept])
        kept = state.alive.nonzero().squeeze(1)
        rows, state = rows[kept], state.rows(kept)
        if not len(rows):
            break
    return {codec.decode(tokens[row]) for row in refused}


@every_codec
def test_no_real_molecule_is_refused(name):
    assert refused_texts(name, bound(name), molecules(1500), 277) == set()


@cache
def small_codec():
    """Few enough texts to write them all."""
    text = """
    smiles -> chain
    chain -> atom tail
    tail -> | bond chain | chain | branch more | ring tail
    more -> | bond chain | chain | branch more
    branch -> '(' chain ')' | '(' bond chain ')'
    ring -> number | bond number
    bond -> '=' | '#' | '-'
    number -> '1' | '2'
    atom -> 'C' | 'O' | 'F'
    """
    return GrammarCodec(form="kekule", table=Grammar.from_text(text))


def all_texts(allowed, codec, most):
    """Every text of at most so many productions whose every step is allowed."""
    found, waiting = set(), [()]
    while waiting:
        tokens = waiting.pop()
        for token in allowed(tokens):
            longer = (*tokens, token)
            text = codec.macros.spell(np.array([longer]))[0]
            if text is not None:
                found.add(text)
            elif len(longer) < most:
                waiting.append(longer)
    return found


def test_what_rdkit_reads_is_what_can_be_written():
    """All texts of a small grammar: those that RDKit sanitises, and no others. Neither knows of the other."""
    codec, most = small_codec(), 14
    rules = codec.rules

    def grammatical(tokens):
        stack = [rules.start]
        for token in tokens:
            stack.pop()
            stack.extend(reversed(rules.children[token, : rules.arity[token]].tolist()))
        room = most - len(tokens) - 1 - sum(int(rules.min_steps[s]) for s in stack[:-1])
        return [c for c in range(rules.size) if rules.lhs[c] == stack[-1] and rules.cost[c] <= room]

    constraint = Chemistry().bind(codec, chem.capacities(["C", "O", "F"]))

    # A limit with room to spare: the policy does not always know the shortest way to finish.
    states = {(): constraint.start(1, most + 20)}

    def chemical(tokens):
        if tokens not in states:
            states[tokens] = constraint.advance(states[tokens[:-1]], torch.tensor(tokens[-1:]))
        return constraint.allowed(states[tokens])[0].nonzero().squeeze(1).tolist()

    every = all_texts(grammatical, codec, most)
    assert len(every) > 5_000
    assert all_texts(chemical, codec, most) == {text for text in every if chem.is_valid(text)}


# -- the argument -----------------------------------------------------------------------------------------------------


def walk(constraint, seed, batch, limit):
    """The states of a random walk."""
    generator = torch.Generator().manual_seed(seed)
    state = constraint.start(batch, limit)
    while len(state.table):
        yield state
        drawn = torch.multinomial(constraint.allowed(state).float(), 1, generator=generator).squeeze(1)
        state = constraint.advance(state, drawn)
        state = state.rows(state.alive.nonzero().squeeze(1))


@every_codec
def test_the_policy_finishes_within_what_is_left_and_never_strays(name):
    """W falls by one with the policy's own step; what is promised without following it is kept."""
    constraint = bound(name)
    tables, known = constraint._tables, 0
    for state in walk(constraint, 1, 12, 90):
        _, written, fewest, distance = _room(state.table)
        for row in state.table:
            trial = row.copy()
            n = finish.finished(trial, 0, tables, 4000, written, distance)
            assert n >= 0
            tokens = finish.fewest_tokens(written, n, *constraint._macros.trie, fewest)
            assert tokens <= row[machine.LEFT]
            promised = bounds.most_productions(row, tables)
            assert promised < 0 or n <= promised
            known += promised >= 0
            assert machine.apply(row.copy(), written[0], tables)
    assert known


@every_codec
def test_the_three_questions_agree(name):
    constraint = bound(name)
    for step, state in enumerate(walk(constraint, 2, 4, 40)):
        if step % 7:
            continue
        candidates, allowed = constraint.candidates(state), constraint.allowed(state)
        assert not (allowed & ~candidates).any()
        for row, token in candidates.nonzero().tolist():
            one = state.rows(torch.tensor([row]))
            assert bool(constraint.refused(one, torch.tensor([token]))) != bool(allowed[row, token])
        half = torch.rand(allowed.shape, generator=torch.Generator().manual_seed(step)) < 0.5
        assert torch.equal(constraint.allowed(state, half), allowed & half)


@every_codec
def test_states_are_not_changed_by_questions(name):
    constraint = bound(name)
    state = list(walk(constraint, 3, 4, 40))[6]
    before = state.table.copy()
    allowed = constraint.allowed(state)
    drawn = constraint.draw(state, torch.zeros(allowed.shape), 1.0, torch.Generator().manual_seed(0))
    again = constraint.advance(state.rows(torch.arange(len(before))), drawn)
    ahead = constraint.advance(state, drawn)
    assert np.array_equal(state.table, before)
    for one, other in zip(again.table, ahead.table, strict=True):
        for row in (one, other):  # what is not used of a row may differ
            assert row[machine.HEIGHT] >= 0
        trial_one, trial_other = np.zeros_like(one), np.zeros_like(other)
        machine.copy_row(one, trial_one)
        machine.copy_row(other, trial_other)
        assert np.array_equal(trial_one, trial_other)


@pytest.mark.parametrize("scale", [0.5, 200.0])
def test_lazy_draws_have_the_distribution_of_a_full_mask(scale):
    codec = small_codec()
    constraint = Chemistry().bind(codec, chem.capacities(["C", "O", "F"]))
    state = list(walk(constraint, 4, 3, 30))[5]
    n, generator = 20_000, torch.Generator().manual_seed(1)
    logits = scale * torch.randn(len(state.table), codec.rules.size, generator=generator)
    for row in range(len(state.table)):
        many = state.rows(torch.full((n,), row))
        drawn = constraint.draw(many, logits[row].expand(n, -1).clone(), 1.0, generator)
        allowed = constraint.allowed(state)[row]
        expected = n * torch.softmax(logits[row].double().masked_fill(~allowed, -torch.inf), 0)
        seen = torch.bincount(drawn, minlength=len(allowed)).double()
        assert not seen[~allowed].any()
        often = expected > 5
        assert abs(seen[~often].sum() - expected[~often].sum()) < 20
        if often.sum() > 1:
            share = seen[often] * expected[often].sum() / seen[often].sum()
            assert chisquare(share.numpy(), expected[often].numpy()).pvalue > 1e-4


@every_codec
def test_greedy_takes_the_likeliest_allowed_token(name):
    constraint = bound(name)
    for step, state in enumerate(walk(constraint, 8, 5, 40)):
        logits = torch.randn(len(state.table), constraint.rules.size, generator=torch.Generator().manual_seed(step))
        wanted = logits.masked_fill(~constraint.allowed(state), -torch.inf).argmax(dim=1)
        assert torch.equal(constraint.draw(state, logits, 0.0, None), wanted)


# -- what users ask for besides ---------------------------------------------------------------------------------------

USERS = {
    "max-heavy-atoms=9": lambda mol: mol.GetNumHeavyAtoms() <= 9,
    "elements=CNO": lambda mol: {atom.GetSymbol() for atom in mol.GetAtoms()} <= {"C", "N", "O", "H"},
    "elements=N": lambda mol: {atom.GetSymbol() for atom in mol.GetAtoms()} <= {"N", "H"},
    "elements=F": lambda mol: {atom.GetSymbol() for atom in mol.GetAtoms()} <= {"F", "H"},
    "ring-sizes=5,6": lambda mol: {len(ring) for ring in Chem.GetSSSR(mol)} <= {5, 6},
    "ring-sizes=3": lambda mol: {len(ring) for ring in Chem.GetSSSR(mol)} <= {3},
    "ring-sizes=": lambda mol: not len(Chem.GetSSSR(mol)),
}
SCAFFOLD = "c1ccccc1C(=O)N"


@every_codec
@pytest.mark.parametrize("choice", USERS)
def test_each_is_kept_by_whatever_is_decoded(name, choice):
    constraint = bound(name, choice)
    for seed, logits in enumerate(scripts(constraint.rules, 9, torch.zeros(constraint.rules.size)).values()):
        for limit in (constraint.shortest, 25, 60):
            for text in decoded(name, constraint, logits, 12, limit, seed=seed):
                mol = Chem.MolFromSmiles(text)
                assert mol is not None and USERS[choice](mol), text


@every_codec
@pytest.mark.parametrize("choice", ["max-heavy-atoms=21", "elements=CNOS", "ring-sizes=5,6"])
def test_what_keeps_it_can_be_written_and_what_does_not_cannot(name, choice):
    """All that do not keep it are refused; of ring sizes the policy does not see every way in which they are kept."""
    most = {"smiles": 0.01, "zinc": 0.1}[name.split(",")[0]] if "ring" in choice else 0.004
    kept = {
        "max-heavy-atoms=21": lambda mol: mol.GetNumHeavyAtoms() <= 21,
        "elements=CNOS": lambda mol: {atom.GetSymbol() for atom in mol.GetAtoms()} <= {"C", "N", "O", "S", "H"},
        "ring-sizes=5,6": USERS["ring-sizes=5,6"],
    }[choice]
    texts = molecules(1500)
    forms = {chem.kekule(text) for text in texts}
    refused = refused_texts(name, bound(name, choice), texts, 277)
    good = {form for form in forms if kept(Chem.MolFromSmiles(form))}
    assert len(good) > 100 and len(forms - good) > 5
    assert forms - good <= refused
    assert len(refused & good) <= most * len(good)


@pytest.mark.parametrize("name", ["smiles, 0", "smiles, 80"])
@pytest.mark.parametrize("scaffold", [SCAFFOLD, "C", "CC(=O)", "N1CCC1", "O=C1NC=CC=C1", "C/C=C/C"])
def test_scaffolds_begin_every_text(name, scaffold):
    constraint = bound(name, f"scaffold-prefix={scaffold}")
    written, core = chem.kekule_as_written(scaffold), Chem.MolFromSmiles(scaffold)
    texts = []
    for logits in scripts(constraint.rules, 10, torch.zeros(constraint.rules.size)).values():
        texts += decoded(name, constraint, logits, 20, constraint.shortest + 20)
    assert all(text.startswith(written) and chem.is_valid(text) for text in texts)
    assert len(set(texts)) > 10
    if scaffold == SCAFFOLD:
        assert all(Chem.MolFromSmiles(text).HasSubstructMatch(core) for text in texts)


def test_a_scaffold_is_a_beginning_atom_by_atom():
    """ "C" begins no text of chlorine, though its letter does."""
    constraint = bound("smiles, 0", "scaffold-prefix=C")
    logits = scripts(constraint.rules, 0, torch.zeros(constraint.rules.size))["flat"]
    assert not any(text.startswith("Cl") for text in decoded("smiles, 0", constraint, logits, 200, 20))


def test_all_together():
    wanted = AllOf(
        Chemistry(), MaxHeavyAtoms(30), Elements("CNOSF"), RingSizes(5, 6), ScaffoldPrefix(SCAFFOLD), Grammatical()
    )
    constraint = wanted.bind(codec_of("smiles, 80"), atoms_of("smiles, 80"))
    for logits in scripts(constraint.rules, 11, torch.zeros(constraint.rules.size)).values():
        for text in decoded("smiles, 80", constraint, logits, 30, 64):
            mol = Chem.MolFromSmiles(text)
            assert mol.GetNumHeavyAtoms() <= 30 and mol.HasSubstructMatch(Chem.MolFromSmiles(SCAFFOLD))
            assert {atom.GetSymbol() for atom in mol.GetAtoms()} <= set("CNOSFH")
            assert {len(ring) for ring in Chem.GetSSSR(mol)} <= {5, 6}


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choice",
    [
        f"scaffold-prefix={SCAFFOLD}; max-heavy-atoms=5",
        f"scaffold-prefix={SCAFFOLD}; elements=CN",
        f"scaffold-prefix={SCAFFOLD}; ring-sizes=5",
        "scaffold-prefix=[Au]C",
    ],
)
def test_contradictions_are_told_when_bound(choice):
    with pytest.raises(InputError, match=r"together|Au"):
        choice_of(choice).bind(codec_of("smiles, 0"), atoms_of("smiles, 0"))


def test_elements_that_nothing_can_be_written_with():
    with pytest.raises(InputError, match="Xe"):
        choice_of("elements=Xe").bind(codec_of("smiles, 0"), atoms_of("smiles, 0"))
    with pytest.raises(InputError, match="Si"):
        choice_of("elements=CSi").bind(codec_of("smiles, 0"), {"C": 4, "N": 3})


def test_scaffolds_need_a_grammar_that_spells_from_left_to_right():
    with pytest.raises(InputError, match="from left to right"):
        choice_of("scaffold-prefix=CC").bind(codec_of("zinc, 0"), atoms_of("zinc, 0"))


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
    with pytest.raises(InputError, match="not known"):
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
        decode(Given(broken), torch.zeros(2, 1), bound(name), 30, temperature)


def test_nothing_allowed_is_finite():
    def never(step, row):
        return torch.full((len(row), codec_of("smiles, 0").rules.size), -torch.inf)

    for temperature in (0.0, 1.0):
        with pytest.raises(DecodingError, match="finite"):
            decode(Given(never), torch.zeros(2, 1), bound("smiles, 0"), 30, temperature)


@every_codec
def test_a_batch_of_none(name):
    tokens = decode(Given(lambda step, row: torch.zeros(0, 1)), torch.zeros(0, 1), bound(name), 30)
    assert tokens.shape == (0, 0)
    with pytest.raises(InputError, match="negative"):
        bound(name).start(-1, 30)


def test_a_token_that_is_not_allowed_is_not_taken():
    constraint = bound("smiles, 0")
    state = constraint.start(1, 30)
    with pytest.raises(DecodingError, match="not allowed"):
        constraint.advance(state, torch.tensor([codec_of("smiles, 0").rules.size - 1]))


# -- choices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choice",
    [
        Unconstrained(),
        Grammatical(),
        Chemistry(),
        MaxHeavyAtoms(38),
        Elements("CNOSFClBr"),
        RingSizes(5, 6),
        RingSizes(),
        ScaffoldPrefix("c1ccccc1C(=O)N"),
        AllOf(Chemistry(), RingSizes(6, 5), Elements("CN"), ScaffoldPrefix("C=C")),
    ],
)
def test_choices_and_their_texts(choice):
    assert choice_of(str(choice)) == choice
    assert choice_of(choice) is choice
    assert str(choice_of(str(choice))) == str(choice)


def test_texts_are_read_generously():
    assert choice_of(" chemistry ;ring-sizes = 6 5") == AllOf(Chemistry(), RingSizes(5, 6))
    assert choice_of("elements=C, N, Cl") == Elements("CNCl")


@pytest.mark.parametrize(
    "text",
    [
        "max-heavy-atoms=0", "max-heavy-atoms=x", "max-heavy-atoms", "max-heavy-atoms=3,4", "elements=", "elements=c",
        "ring-sizes=2", "ring-sizes=5;ring-sizes=x", "chemistry=1", "none; chemistry", "scaffold-prefix=c1cc",
        "scaffold-prefix=",
    ],
)  # fmt: skip
def test_texts_that_mean_nothing(text):
    with pytest.raises(InputError):
        choice_of(text)


@pytest.mark.parametrize("text", ["", "chem", "chemistry;", "Grammar"])
def test_names_that_are_unknown(text):
    with pytest.raises(UnknownNameError, match="constraint"):
        choice_of(text)


def test_limits_of_one_kind_are_met_together():
    both = AllOf(MaxHeavyAtoms(9), MaxHeavyAtoms(5), RingSizes(3, 5), RingSizes(5, 6), Elements("CN"), Elements("CO"))
    constraint = both.bind(codec_of("smiles, 0"), atoms_of("smiles, 0"))
    logits = scripts(constraint.rules, 12, torch.zeros(constraint.rules.size))["random"]
    for text in decoded("smiles, 0", constraint, logits, 50, 60):
        mol = Chem.MolFromSmiles(text)
        assert mol.GetNumHeavyAtoms() <= 5 and {atom.GetSymbol() for atom in mol.GetAtoms()} == {"C"}
        assert {len(ring) for ring in Chem.GetSSSR(mol)} <= {5}
    with pytest.raises(InputError, match="one scaffold"):
        AllOf(ScaffoldPrefix("CC"), ScaffoldPrefix("CN")).bind(codec_of("smiles, 0"), atoms_of("smiles, 0"))


def test_a_limit_beyond_every_number_is_no_limit():
    constraint = bound("smiles, 0", f"max-heavy-atoms={10**12}")
    assert constraint.shortest == bound("smiles, 0").shortest


def test_no_rings_are_told_when_they_contradict():
    with pytest.raises(InputError, match="ring_sizes none; scaffold"):
        AllOf(RingSizes(), ScaffoldPrefix("C1CC1")).bind(codec_of("smiles, 0"), atoms_of("smiles, 0"))


def test_nothing_to_combine():
    with pytest.raises(InputError, match="nothing is asked"):
        AllOf()


def test_macros_that_spell_what_is_not_allowed():
    """A macro of fluorine is no way to finish where fluorine may not be written."""
    codec = codec_of("smiles, 0")
    fluorine = tuple(int(p) for p in codec.encode("CF")[1:])
    table = MacroTable(codec.grammar, (fluorine,))
    constraint = Elements("C").bind(GrammarCodec(form="kekule", table=table), atoms_of("smiles, 0"))
    chance = random.Random(0)
    for _ in range(20):
        limit = constraint.shortest + chance.randrange(5)
        logits = 10 * torch.randn(constraint.rules.size, generator=torch.Generator().manual_seed(limit))
        tokens = decode(
            Given(lambda step, row, f=logits: f.expand(len(row), -1)), torch.zeros(4, 1), constraint, limit, 1.0
        )
        for text in table.spell(tokens.numpy()):
            assert chem.is_valid(text) and "F" not in text
