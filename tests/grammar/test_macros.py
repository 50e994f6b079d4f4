import json
import random
from collections import Counter
from functools import cache

import numpy as np
import pytest
from derivations import built, molecules, random_derivation, searched_steps, small_grammars, spelled
from hypothesis import assume, given
from hypothesis import strategies as st

from grammar_rae import chem
from grammar_rae.errors import GrammarError, InputError
from grammar_rae.grammar import MAX_TOKENS, Grammar, MacroTable, learn_macros, parser_for, read_grammar

EXPRESSIONS = read_grammar("expressions")
BUNDLED = ["expressions", "smiles", "zinc"]


@cache
def parsed(name, n=300):
    """Derivations of real texts (molecules) or random ones (expressions), with the texts."""
    grammar = read_grammar(name)
    if name == "expressions":
        chance = random.Random(0)
        texts = [spelled(grammar, random_derivation(grammar, chance, chance.randint(2, 40))) for _ in range(n)]
    else:
        texts = [chem.kekule(text, fragments="largest") for text in molecules(n)]
    derivations = parser_for(grammar).parse_batch(texts)
    assert not derivations.rejected
    return texts, derivations.productions, derivations.offsets


@cache
def learned(name, n_macros=64):
    _, tokens, offsets = parsed(name)
    return learn_macros(read_grammar(name), tokens, offsets, n_macros)


def rows_of(tokens, offsets):
    return np.split(tokens, offsets[1:-1])


def encoded(table, derivation):
    tokens, offsets = table.encode(np.asarray(derivation, dtype=np.int32), np.array([0, len(derivation)]))
    assert tokens.dtype == np.uint16 and offsets.tolist() == [0, len(tokens)]
    return tokens


def fewest(table, derivation):
    """The least number of tokens that spell a derivation, by trying every run at every place."""
    runs = [(p,) for p in range(table.grammar.size)] + list(table.macros)
    best = [0] + [len(derivation) + 1] * len(derivation)
    for end in range(1, len(derivation) + 1):
        for run in runs:
            if tuple(derivation[max(0, end - len(run)) : end]) == run:
                best[end] = min(best[end], best[end - len(run)] + 1)
    return best[-1]


# -- encoding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED)
def test_real_derivations_come_back_from_fewer_tokens(name):
    table = learned(name)
    _, derivations, offsets = parsed(name)
    tokens, ends = table.encode(derivations, offsets)
    assert tokens.dtype == np.uint16 and ends[0] == 0 and ends[-1] == len(tokens) and len(ends) == len(offsets)
    for row, derivation in zip(rows_of(tokens, ends), rows_of(derivations, offsets), strict=True):
        assert table.expand(row).tolist() == derivation.tolist()
        assert len(row) <= len(derivation)
        assert encoded(table, derivation).tolist() == row.tolist()
    assert table.expand(tokens).tolist() == derivations.tolist()
    assert len(tokens) < 0.6 * len(derivations)


@pytest.mark.parametrize("name", BUNDLED)
@given(seed=st.integers(0, 2**32), limit=st.integers(16, 120))
def test_random_derivations_come_back_from_the_fewest_tokens(name, seed, limit):
    table = learned(name)
    derivation = random_derivation(table.grammar, random.Random(seed), limit)
    tokens = encoded(table, derivation)
    assert table.expand(tokens).tolist() == derivation.tolist()
    assert len(tokens) == fewest(table, derivation.tolist()) <= len(derivation)


def test_fewest_tokens_where_greedy_is_longer():
    # After the longest first step, (1, 2, 0), the rest takes three more; (1, 2) and (0, 1, 2, 3) take two in all.
    grammar = Grammar.from_text("S -> 'a' S | 'b' S | 'c' S | 'd'")
    table = MacroTable(grammar, ((1, 2), (1, 2, 0), (0, 1, 2, 3)))
    tokens = encoded(table, [1, 2, 0, 1, 2, 3])
    assert tokens.tolist() == [4, 6]
    # Of two ways with two tokens the longer first step wins.
    assert encoded(MacroTable(grammar, ((1, 2), (2, 3))), [1, 2, 3]).tolist() == [4, 3]


def test_empty_sets():
    table = learned("expressions")
    tokens, offsets = table.encode(np.zeros(0, np.int32), np.zeros(1, np.int64))
    assert tokens.tolist() == [] and offsets.tolist() == [0]
    assert table.expand(tokens).tolist() == []
    assert table.spell(np.zeros((0, 5), np.int64)) == []
    assert learn_macros(EXPRESSIONS, np.zeros(0, np.int32), np.zeros(1, np.int64), 5) == MacroTable(EXPRESSIONS)


@pytest.mark.parametrize("wrong", [-1, 12, 1 << 20])
def test_productions_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=f"unknown production; received {wrong}; expected 0 to 11"):
        learned("expressions").encode(np.array([3, wrong], np.int32), np.array([0, 2]))


@pytest.mark.parametrize("wrong", [-1, 12 + 64, 1 << 40])
def test_tokens_out_of_range_are_refused(wrong):
    table = learned("expressions")
    assert table.size == 12 + 64
    with pytest.raises(InputError, match=f"unknown token; received {wrong}; expected 0 to 75"):
        table.expand(np.array([3, wrong, 7]))


# -- learning -------------------------------------------------------------------------------------------------------


def test_the_most_frequent_pair_becomes_a_macro():
    # x+x+1: S -> S + T twice, then S -> T and so on; the pairs are counted by hand below.
    derivations = parser_for(EXPRESSIONS).parse_batch(["x+x+1", "x+1"])
    rows = rows_of(derivations.productions, derivations.offsets)
    assert [row.tolist() for row in rows] == [[0, 0, 3, 7, 7, 8], [0, 3, 7, 8]]
    # (0, 3) and (3, 7) come twice, (0, 0) once; (7, 7) and (7, 8) do not count, as 7 leaves nothing open.
    table = learn_macros(EXPRESSIONS, derivations.productions, derivations.offsets, 2)
    assert table.macros == ((0, 3), (0, 3, 7))
    # Then (0, 3, 7) stands before 7 once and before 8 once: nothing comes twice any more.
    assert learn_macros(EXPRESSIONS, derivations.productions, derivations.offsets, 9) == table


def test_a_pair_never_reaches_over_the_end_of_a_derivation():
    grammar = Grammar.from_text("S -> 'a' S | 'b' S |")
    derivations, offsets = np.array([0, 2, 0, 2, 1, 2], np.int32), np.array([0, 2, 4, 6])
    assert learn_macros(grammar, derivations, offsets, 9).macros == ((0, 2),)
    assert learn_macros(grammar, derivations, offsets, 9, min_count=1).macros == ((0, 2), (1, 2))
    assert learn_macros(grammar, derivations, offsets, 9, min_count=3).macros == ()
    assert learn_macros(grammar, derivations, offsets, 9, min_count=0).macros == ((0, 2), (1, 2))
    cut_off = np.zeros(6, np.int32)  # derivations that end before they are complete: the next begins anew
    assert learn_macros(grammar, cut_off, np.arange(7), 9).macros == ()
    assert learn_macros(grammar, cut_off, np.array([0, 3, 6]), 9).macros == ((0, 0), (0, 0, 0))


@pytest.mark.parametrize("name", BUNDLED)
def test_learning_is_deterministic_and_grows(name):
    _, tokens, offsets = parsed(name)
    again = learn_macros(read_grammar(name), tokens.copy(), offsets.copy(), 64)
    assert again == learned(name)
    fewer = learn_macros(read_grammar(name), tokens.astype(np.int64), offsets, 20)
    assert fewer.macros == learned(name).macros[:20]
    lengths = [len(learn_macros(read_grammar(name), tokens, offsets, n).encode(tokens, offsets)[0]) for n in (0, 8, 64)]
    assert lengths[0] == len(tokens) > lengths[1] > lengths[2]


def test_counts_and_limits():
    _, tokens, offsets = parsed("expressions")
    assert learn_macros(EXPRESSIONS, tokens, offsets, 0).macros == ()
    with pytest.raises(InputError, match="cannot be negative"):
        learn_macros(EXPRESSIONS, tokens, offsets, -1)
    assert len(learned("expressions").macros) == 64
    assert len(learn_macros(EXPRESSIONS, tokens[: offsets[1]], offsets[:2], 1000).macros) < 64


# -- macros are tree fragments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED)
def test_left_hand_sides_and_children_agree_with_simulation(name):
    table = learned(name)
    grammar, rules = table.grammar, table.rules
    assert rules.size == table.size and len(set(table.macros)) == len(table.macros)
    for token in range(table.size):
        run = (token,) if token < grammar.size else table.macros[token - grammar.size]
        form = [grammar.productions[run[0]].lhs]
        for production in run:
            at = next(i for i, symbol in enumerate(form) if symbol >= 0)
            assert form[at] == grammar.productions[production].lhs
            form[at : at + 1] = grammar.productions[production].rhs
        assert table.body(token) == tuple(form)
        open_ = [symbol for symbol in form if symbol >= 0]
        assert rules.lhs[token] == grammar.productions[run[0]].lhs
        assert rules.children[token, : rules.arity[token]].tolist() == open_
        assert rules.usable[token] or token < grammar.size


@pytest.mark.parametrize("name", BUNDLED)
def test_least_steps_with_macros(name):
    """A grammar in which each macro is one more production has the same costs, by breadth-first search."""
    table = learned(name)
    grammar = table.grammar
    productions = dict.fromkeys((p.lhs, p.children) for p in grammar.productions)
    productions.update(
        dict.fromkeys(
            (grammar.productions[macro[0]].lhs, tuple(s for s in table.body(grammar.size + m) if s >= 0))
            for m, macro in enumerate(table.macros)
        )
    )
    named = [
        (grammar.nonterminals[lhs], tuple((False, grammar.nonterminals[child]) for child in children))
        for lhs, children in productions
    ]
    flat = Grammar.from_productions("flat", grammar.nonterminals[grammar.start], named)
    for symbol, name_ in enumerate(grammar.nonterminals):
        if grammar.rules.is_productive(symbol):
            bound = int(grammar.rules.min_steps[symbol])
            steps = searched_steps(flat, flat.nonterminals.index(name_), bound)
            assert table.rules.min_steps[symbol] == steps <= bound
    assert table.rules.shortest <= grammar.rules.shortest


@given(small_grammars(), st.integers(0, 2**32))
def test_macros_of_small_grammars(productions, seed):
    """Empty sides, ambiguity, dead parts: what holds of derivations does not ask what they spell."""
    grammar = built(productions)
    assume(grammar)
    chance = random.Random(seed)
    rows = [random_derivation(grammar, chance, 30) for _ in range(10)]
    offsets = np.cumsum([0, *map(len, rows)])
    table = learn_macros(grammar, np.concatenate(rows), offsets, 8)
    tokens, ends = table.encode(np.concatenate(rows), offsets)
    padded = np.full((len(rows), 40), -1)
    for index, (row, derivation) in enumerate(zip(rows_of(tokens, ends), rows, strict=True)):
        assert table.expand(row).tolist() == derivation.tolist()
        assert len(row) == fewest(table, derivation.tolist())
        padded[index, : len(row)] = row
    assert table.spell(padded) == [spelled(grammar, row) for row in rows]
    assert table.rules.shortest == len(encoded(table, cheapest(table)))


def cheapest(table):
    """The productions of a derivation of the fewest tokens, by following the costs."""
    rules, stack, tokens = table.rules, [table.grammar.start], []
    while stack:
        top = stack.pop()
        token = min(np.flatnonzero(rules.lhs == top), key=lambda c: rules.cost[c])
        tokens.append(token)
        stack.extend(reversed(rules.children[token, : rules.arity[token]].tolist()))
    assert len(tokens) == rules.shortest
    return table.expand(np.array(tokens))


# -- spelling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("padding", [0, 3])
def test_a_batch_spells_as_its_rows(name, padding):
    table = learned(name)
    texts, derivations, offsets = parsed(name)
    rows = rows_of(*table.encode(derivations, offsets))
    padded = np.full((len(rows), max(map(len, rows)) + padding), -1, dtype=np.int64)
    for row, tokens in zip(padded, rows, strict=True):
        row[: len(tokens)] = tokens
    assert table.spell(padded) == texts
    assert [table.spell(row[None])[0] for row in padded[:20]] == texts[:20]
    assert table.spell(padded.astype(np.int32)) == table.spell(np.asfortranarray(padded)) == texts


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ([3, 7, -1, -1], "x"),
        ([3, 7, -1, 3], "x"),  # a row ends at its first -1
        ([3, 4, 3, 8], "(1)"),
        ([12, 7, -1, -1], "(x)"),
        ([3, 12, 7, -1], None),  # the macro expands S, not T
        ([3, -1, -1, -1], None),
        ([-1, -1, -1, -1], None),
        ([3, -1, 7, -1], None),
        ([3, 7, 7, -1], None),
        ([3, 7, 3, 7], None),
        ([7, -1, -1, -1], None),
        ([3, 3, 7, -1], None),
        ([3, 14, -1, -1], None),
        ([3, 1 << 40, -1, -1], None),
        ([0, 0, 0, 0], None),
    ],
)
def test_rows_that_are_complete_and_rows_that_are_not(row, text):
    table = MacroTable(EXPRESSIONS, ((3, 4, 3), (0, 3)))
    good = [3, 9, -1, -1]
    for n in (1, 100):  # few rows are spelled by Python, many by a kernel
        assert table.spell(np.array([good, row, good] * n)) == ["2", text, "2"] * n


def test_rows_without_room():
    for n in (2, 300):
        assert learned("expressions").spell(np.zeros((n, 0), np.int64)) == [None] * n


def test_deep_and_long_rows():
    grammar = read_grammar("expressions")
    for text in ("(" * 5000 + "x" + ")" * 5000, "x*" * 20_000 + "x"):
        derivation = parser_for(grammar).parse(text)
        tokens = encoded(learned("expressions"), derivation)
        assert len(tokens) < len(derivation)
        rows = np.zeros((300, len(tokens)), np.int64)
        rows[0] = tokens
        assert learned("expressions").spell(rows[:1]) == [text]
        assert learned("expressions").spell(rows) == [text] + [None] * 299


def test_letters_of_several_bytes():
    grammar = Grammar.from_text("S -> 'ä' S | '€'")
    table = MacroTable(grammar, ((0, 0), (0, 1)))
    assert table.spell(np.array([[2, 3, -1], [2, 0, 1], [1, -1, -1], [0, -1, -1]])) == ["äää€", "äää€", "€", None]
    assert [table.show(token) for token in range(4)] == ["ä<S>", "€", "ää<S>", "ä€"]


def test_show():
    table = MacroTable(EXPRESSIONS, ((3, 4), (0, 3, 7)))
    assert [table.show(token) for token in (0, 4, 5, 7, 12, 13)] == [
        *("<S>+<T>", "(<S>)", "sin(<S>)", "x", "(<S>)", "x+<T>"),
    ]


# -- construction and saving ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("macro", "said"),
    [
        ((), "two productions"),
        ((3,), "two productions"),
        ((3, 0), "must be a run"),
        ((7, 7), "must be a run"),
        ((3, 7, 3), "must be a run"),
        ((3, 12), "production that the grammar lacks"),
        ((3, -1), "production that the grammar lacks"),
    ],
)
def test_macros_that_are_none(macro, said):
    with pytest.raises(GrammarError, match=said):
        MacroTable(EXPRESSIONS, ((3, 4), macro))


def test_tokens_fit_into_sixteen_bits():
    grammar = Grammar.from_text("S -> 'a' S |")
    macros = ((0, 0),) * (MAX_TOKENS - grammar.size)
    assert MacroTable(grammar, macros).size == MAX_TOKENS == np.iinfo(np.uint16).max + 1
    with pytest.raises(GrammarError, match="too many tokens"):
        MacroTable(grammar, (*macros, (0, 0)))


@pytest.mark.parametrize("name", BUNDLED)
def test_saving(name):
    table = learned(name)
    again = MacroTable.from_dict(json.loads(json.dumps(table.to_dict())))
    assert again == table
    _, tokens, offsets = parsed(name)
    assert [part.tolist() for part in again.encode(tokens, offsets)] == [
        p.tolist() for p in table.encode(tokens, offsets)
    ]
    assert Counter(map(len, again.macros)) == Counter(map(len, table.macros))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("macros"),
        lambda data: data.pop("grammar"),
        lambda data: data.update(macros=3),
        lambda data: data.update(macros=[3]),
        lambda data: data.update(macros=[["a", "b"]]),
        lambda data: data.update(macros=[[3, None]]),
        lambda data: data.update(macros=[[3]]),
        lambda data: data.update(macros=[[3, 999]]),
        lambda data: data.update(macros=[[7, 3]]),
        lambda data: data.update(grammar="smiles"),
        lambda data: data.update(grammar={}),
        lambda data: data["grammar"]["productions"].pop(7),
    ],
)
def test_data_that_are_wrong(change):
    data = json.loads(json.dumps(MacroTable(EXPRESSIONS, ((3, 7), (0, 3), (2, 3, 10))).to_dict()))
    assert MacroTable.from_dict(data).size == 15
    change(data)
    with pytest.raises(GrammarError):
        MacroTable.from_dict(data)


@pytest.mark.parametrize("name", BUNDLED)
def test_terminals_of_tokens_are_those_of_the_text(name):
    table = learned(name)
    texts, derivations, offsets = parsed(name)
    written = table.rules.terminals
    assert written.shape == (table.size, len(table.grammar.terminals))
    for text, derivation in zip(texts[:50], rows_of(derivations, offsets)[:50], strict=True):
        counts = written[encoded(table, derivation)].sum(axis=0)
        assert sum(n * len(t) for n, t in zip(counts, table.grammar.terminals, strict=True)) == len(text)
        for terminal in ("(", "1", "x", "="):
            if terminal in table.grammar.terminals and not any(
                terminal in other and other != terminal for other in table.grammar.terminals
            ):
                assert counts[table.grammar.terminals.index(terminal)] == text.count(terminal)
