import random
import sys
import warnings

import numpy as np
import pytest
from derivations import (
    Chart,
    built,
    earley,
    molecules,
    random_derivation,
    small_grammars,
    spelled,
    texts_over,
    tokens_of,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from grammar_rae import chem
from grammar_rae.errors import GrammarError, InputError, TextError
from grammar_rae.grammar import ChartParser, CompiledParser, Grammar, parser_for, read_grammar, spell
from grammar_rae.grammar.lalr import compile_tables

BUNDLED = ["expressions", "smiles", "zinc"]
MOLECULAR = ["smiles", "zinc"]


def forms(texts):
    """Molecules in aromatic and in Kekulé form in turn."""
    return [(chem.aromatic, chem.kekule)[i % 2](text, fragments="largest") for i, text in enumerate(texts)]


def expressions(n, longest=60):
    grammar = read_grammar("expressions")
    chance = random.Random(0)
    found = dict.fromkeys(
        spelled(grammar, random_derivation(grammar, chance, chance.randint(2, longest))) for _ in range(3 * n)
    )
    assert len(found) >= n
    return list(found)[:n]


def same_as_nltk(name, texts):
    """Every text has one derivation by NLTK, and the compiled parser gives it, alone and in a batch."""
    grammar = read_grammar(name)
    parser, chart = CompiledParser(grammar), Chart(grammar)
    batch = parser.parse_batch(texts)
    assert not batch.rejected
    for i, text in enumerate(texts):
        tokens = batch.productions[batch.offsets[i] : batch.offsets[i + 1]].tolist()
        assert chart.derivations(text) == [tokens]
        assert parser.parse(text).tolist() == tokens
        assert spell(grammar, np.array(tokens)) == text


def accepts(parser, text):
    return not parser.parse_batch([text]).rejected


# -- agreement with NLTK --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MOLECULAR)
def test_molecules_have_nltks_derivations(name):
    same_as_nltk(name, forms(sorted(molecules(2000), key=len)[:1000:10]))


def test_expressions_have_nltks_derivations():
    same_as_nltk("expressions", expressions(200, longest=40))


@pytest.mark.slow
@pytest.mark.parametrize("name", MOLECULAR)
def test_a_thousand_molecules_have_nltks_derivations(name):
    same_as_nltk(name, forms(molecules(1000, every=41)))


@pytest.mark.slow
def test_a_thousand_expressions_have_nltks_derivations():
    same_as_nltk("expressions", expressions(1000))


@pytest.mark.parametrize("name", MOLECULAR)
def test_strings_that_are_no_molecules_have_nltks_derivations(name):
    """Random derivations reach what molecules do not: rings behind bonds, nested brackets, empty everything."""
    grammar, chance = read_grammar(name), random.Random(1)
    texts = {spelled(grammar, random_derivation(grammar, chance, chance.randint(12, 35))) for _ in range(60)}
    same_as_nltk(name, sorted(texts))


@pytest.mark.parametrize("name", BUNDLED)
@given(seed=st.integers(0, 2**32), limit=st.integers(20, 200))
def test_a_random_derivation_comes_back(name, seed, limit):
    grammar = read_grammar(name)
    derivation = random_derivation(grammar, random.Random(seed), limit)
    text = spelled(grammar, derivation)
    assert spell(grammar, derivation) == text
    assert parser_for(grammar).parse(text).tolist() == derivation.tolist()


SMALL_TEXTS = texts_over("ab", 5)


@given(small_grammars())
def test_small_grammars_agree_with_earley_and_nltk(productions):
    """Both accept the same strings; of each there is one derivation, and an error stands where the last hope ends."""
    grammar = built(productions)
    assume(grammar and grammar.terminals)
    try:
        parser = CompiledParser(grammar)
    except GrammarError:
        assume(False)
    chart, end = Chart(grammar), len(grammar.terminals)
    batch = parser.parse_batch(SMALL_TEXTS)
    errors = dict(batch.rejected)
    accepted = iter(range(len(batch.offsets) - 1))
    for index, text in enumerate(SMALL_TEXTS):
        tokens = tokens_of(grammar, text)
        if tokens is None:
            assert errors[index].position is not None
            continue
        legal = earley(grammar, tokens)
        if len(legal) == len(tokens) + 1 and end in legal[-1]:
            row = next(accepted)
            assert chart.derivations(text) == [batch.productions[batch.offsets[row] : batch.offsets[row + 1]].tolist()]
        else:
            viable = len(legal) - 1 if len(legal) <= len(tokens) else len(tokens)
            assert errors[index].position == sum(len(grammar.terminals[token]) for token in tokens[:viable])
            names = [name for i, name in enumerate([*grammar.terminals, "end of text"]) if i in legal[viable]]
            assert errors[index].expected == ", ".join(names)
            prefix = text[: errors[index].position]
            if tokens_of(grammar, prefix) == tokens[:viable]:
                assert parser.next_terminals(prefix) == names
    assert next(accepted, None) is None


# -- which grammars -------------------------------------------------------------------------------------------------


def test_lookahead_of_the_bundled():
    assert {name: compile_tables(read_grammar(name)).k for name in BUNDLED} == {
        "expressions": 1,
        "smiles": 1,
        "zinc": 2,
    }


RECURSIVE = {
    "left": ("S -> S 'a' | 'b'", 1),
    "right": ("S -> 'a' S | 'b'", 1),
    "both, in the middle": ("S -> 'a' S 'b' |", 1),
    "left through another": ("S -> A 'x' | 'b'\nA -> S 'a' | 'c'", 1),
    "empty sides in a row": ("S -> A B A 'c'\nA -> 'a' |\nB -> 'b'", 1),
    "empty sides everywhere": ("S -> A B C\nA -> 'a' |\nB -> 'b' |\nC -> 'c' |", 1),
    "hidden right": ("S -> 'a' S E | 'b'\nE ->", 1),
    "units": ("S -> A\nA -> B\nB -> 'a' B | 'b'", 1),
    "only the empty text": ("S -> A A\nA ->", 1),
    "LALR(2)": ("S -> A 'b' 'c' | B 'b' 'd'\nA -> 'a'\nB -> 'a'", 2),
    "LALR(3)": ("S -> A 'b' 'b' 'c' | B 'b' 'b' 'd'\nA -> 'a'\nB -> 'a'", 3),
    "two tokens from the end": ("S -> 'a' S | A 'a' | B 'a' 'a'\nA -> 'b'\nB -> 'b'", 2),
}


@pytest.mark.parametrize(("text", "k"), RECURSIVE.values(), ids=RECURSIVE)
def test_kinds_of_grammars(text, k):
    grammar = Grammar.from_text(text)
    parser, chart = parser_for(grammar), Chart(grammar)
    assert isinstance(parser, CompiledParser) and parser.tables.k == k
    letters = [terminal for terminal in grammar.terminals]
    texts = texts_over(letters or ["a"], 6)
    batch = parser.parse_batch(texts)
    refused = {index for index, _ in batch.rejected}
    rows = iter(np.split(batch.productions, batch.offsets[1:-1]))
    for index, string in enumerate(texts):
        found = chart.derivations(string)
        assert found == ([] if index in refused else [next(rows).tolist()])
    assert len(refused) < len(texts)


AMBIGUOUS = {
    "S -> S S | 'a'": "complete S -> S S or read on",
    "S -> 'a' S | 'a' | 'a' 'a'": "complete S -> 'a' or complete S -> 'a' 'a'",
    "S -> E S 'z' | 't'\nE ->": "complete E -> or read on",
    "S -> A | B\nA -> 'a'\nB -> 'a'": "complete A -> 'a' or complete B -> 'a'",
    "S -> S | 'a'": "complete S -> S or end",
}


@pytest.mark.parametrize(("text", "reason"), AMBIGUOUS.items())
def test_other_grammars_fall_back_and_say_why(text, reason):
    grammar = Grammar.from_text(text, name=f"ambiguous {text}")
    with pytest.raises(GrammarError, match=reason) as caught:
        CompiledParser(grammar)
    assert caught.value.where == grammar.name and "chart parser" in str(caught.value)
    with pytest.warns(UserWarning, match=r"(?s)hundreds of times slower.*not LALR\(3\)"):
        parser = parser_for(grammar)
    assert isinstance(parser, ChartParser)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parser_for(grammar) is parser
    derivable = [string for string in texts_over("atz", 4) if Chart(grammar).derivations(string)]
    assert derivable
    for string in derivable:
        assert spell(grammar, parser.parse(string)) == string
    batch = parser.parse_batch(["", *derivable, "zz", "q"])
    assert [index for index, _ in batch.rejected] == [0, len(derivable) + 1, len(derivable) + 2]
    assert [spell(grammar, tokens) for tokens in np.split(batch.productions, batch.offsets[1:-1])] == derivable
    with pytest.raises(TextError, match="'q' is not a terminal") as refused:
        parser.parse("q")
    assert refused.value.position == 0


def test_chart_parser_takes_the_empty_text_and_an_empty_batch():
    parser = ChartParser(Grammar.from_text("S -> S S | 'a' |"))
    assert parser.parse("").tolist() == [2]
    batch = parser.parse_batch([])
    assert batch.productions.tolist() == [] and batch.offsets.tolist() == [0] and batch.rejected == []


def test_chart_parser_gives_up_with_an_error_of_ours(monkeypatch):
    parser = ChartParser(Grammar.from_text("S -> S S | 'a'"))
    with pytest.raises(TextError, match="gave up on the text"):
        parser.parse("a" * 60)

    def deep(tokens):
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(parser._parser, "parse", deep)
    with pytest.raises(TextError, match="gave up on the text"):
        parser.parse("a")


def test_tables_that_would_be_too_large_are_given_up(monkeypatch):
    grammar = Grammar.from_text("S -> A 'b' 'c' | B 'b' 'd'\nA -> 'a'\nB -> 'a'", name="large")
    monkeypatch.setattr("grammar_rae.grammar.lalr.MAX_STRINGS", 8)
    with pytest.raises(GrammarError, match=r"not LALR\(1\).*more lookahead than 1 would be too large"):
        compile_tables(grammar)
    monkeypatch.undo()
    assert compile_tables(grammar).k == 2


def test_dead_productions_raise_no_hope():
    parser = CompiledParser(Grammar.from_text("S -> 'a' | 'b' D 'c'\nD -> 'd' D"))
    assert parser.next_terminals("") == ["a"]
    with pytest.raises(TextError, match="'b' is unexpected here") as caught:
        parser.parse("bd")
    assert caught.value.position == 0


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED)
def test_empty_text(name):
    with pytest.raises(TextError, match="the text is empty") as caught:
        parser_for(read_grammar(name)).parse("")
    assert caught.value.position == 0 and caught.value.text == ""


@pytest.mark.parametrize(
    ("text", "position", "character"),
    [
        ("x+y", 2, "y"),
        ("x+é", 2, "é"),
        ("\U0001f600+x", 0, "\U0001f600"),
        ("x+1\0", 3, "\0"),
        ("x\ud800", 1, "\ud800"),
        ("x + 1", 1, " "),
        ("x\n", 1, "\n"),
        ("sin[x]", 0, "s"),
        ("\ufeffx", 0, "\ufeff"),
        (")é", 1, "é"),
    ],
)
def test_unknown_characters(text, position, character):
    with pytest.raises(TextError) as caught:
        parser_for(read_grammar("expressions")).parse(text)
    error = caught.value
    assert error.position == position and error.text == text
    assert f"{character!r} is not a terminal of the grammar 'expressions'" in str(error)
    assert f"character {position + 1}" in str(error)
    assert error.caret() == f"{text}\n{' ' * position}^"


def test_positions_count_characters_not_bytes():
    parser = parser_for(Grammar.from_text("S -> 'ä' S | 'é' | '€' 'b'", name="accents"))
    assert parser.parse("ää€b").tolist() == [0, 0, 2]
    for text, position in {"ääx": 2, "ä\u20ad": 1, "ää€é": 3, "ää": 2, "éé": 1, "ä\udc80": 1}.items():
        with pytest.raises(TextError) as caught:
            parser.parse(text)
        assert caught.value.position == position


def test_half_a_terminal():
    # The first bytes of two terminals are the same, and one terminal begins with another.
    parser = parser_for(Grammar.from_text("S -> 'ab' S | 'abcd' | 'ä' | 'å'", name="half"))
    assert parser.parse("ababcd").tolist() == [0, 1]
    assert parser.parse("abå").tolist() == [0, 3]
    with pytest.raises(TextError, match="'c' is not a terminal") as caught:
        parser.parse("abc")  # not "abcd", so "ab" and then a "c"
    assert caught.value.position == 2


@pytest.mark.parametrize(
    ("name", "text", "position", "said"),
    [
        ("expressions", "x+", 2, "ends too early"),
        ("expressions", "sin(x", 5, "ends too early"),
        ("expressions", "x)", 1, r"'\)' is unexpected here"),
        ("expressions", "xx", 1, "'x' is unexpected here"),
        ("expressions", "()", 1, r"'\)' is unexpected here"),
        ("expressions", "xsin(x)", 1, r"'sin\(' is unexpected here"),
        ("smiles", "C(", 2, "ends too early"),
        ("smiles", "CC)C", 2, r"'\)' is unexpected here"),
        ("smiles", "C1CCCC1(C)2", 10, "'2' is unexpected here"),
        ("zinc", "C1=", 3, "ends too early"),
        ("zinc", "C1=)", 3, r"'\)' is unexpected here"),
        ("zinc", "[C+", 3, "ends too early"),
        ("zinc", "C(=", 3, "ends too early"),
        ("zinc", "C(=1", 3, "'1' is unexpected here"),
    ],
)
def test_syntax_errors(name, text, position, said):
    with pytest.raises(TextError, match=said) as caught:
        parser_for(read_grammar(name)).parse(text)
    error = caught.value
    assert error.position == position and error.text == text
    assert f"received {text!r}" in str(error) and "expected " in str(error)


@pytest.mark.parametrize("name", BUNDLED)
def test_every_cut_of_a_text_is_refused_at_its_end_or_accepted(name):
    parser = parser_for(read_grammar(name))
    texts = {
        "expressions": ["sin(x*(1+exp(2/x)))"],
        "smiles": ["C[C@@H](Cl)c1ccc(=O)[nH+]1"],
        "zinc": ["C[C@@H](Cl)C=1OC=1"],
    }
    for text in texts[name]:
        for cut in range(1, len(text)):
            batch = parser.parse_batch([text[:cut]])
            if batch.rejected:
                error = batch.rejected[0][1]
                assert error.position == cut or text[error.position : error.position + 2] in ("Cl", "si", "ex")


def test_expected_terminals_of_expressions_by_brute_force():
    """A terminal is expected exactly where some completion of what it makes is an expression."""
    parser = CompiledParser(read_grammar("expressions"))
    terminals = [terminal for terminal in parser.grammar.terminals]

    def completed(prefix):
        return any(accepts(parser, prefix + rest + ")" * n) for rest in ("", "x", "x)") for n in range(6))

    texts = [*expressions(12, longest=16), "sin(exp((x)))"]
    prefixes = {""} | {
        text[: i + 1] for text in texts for i in range(len(text)) if tokens_of(parser.grammar, text[: i + 1])
    }
    assert len(prefixes) > 30
    for prefix in sorted(prefixes):
        assert completed(prefix)
        legal = [terminal for terminal in terminals if completed(prefix + terminal)]
        assert parser.next_terminals(prefix) == legal + ["end of text"] * accepts(parser, prefix)


def test_expected_of_the_molecule_grammars():
    zinc = CompiledParser(read_grammar("zinc"))
    assert set(zinc.next_terminals("C1=")) == set(zinc.next_terminals("C(=")) | set("12345678")
    assert not set(zinc.next_terminals("C(=")) & set("12345678")
    assert "end of text" in zinc.next_terminals("C") and "end of text" not in zinc.next_terminals("C(")
    assert set(zinc.next_terminals("[C+")) == {*"12345678", "]"}  # no class: it has no expansion
    smiles = CompiledParser(read_grammar("smiles"))
    assert smiles.next_terminals("C%") == smiles.next_terminals("C%1") == list("0123456789")
    for prefix in ("C)", "é", "C(()", "C==", "[]"):
        with pytest.raises(TextError, match="begins with this prefix"):
            smiles.next_terminals(prefix)


def test_messages_list_some_of_many():
    with pytest.raises(TextError, match=r"or \d+ others"):
        parser_for(read_grammar("smiles")).parse("C=")


def test_readings_of_a_prefix_do_not_multiply_with_its_length():
    # After "ab", one more token or two tell A from B; A comes out of both, and counts once.
    grammar = Grammar.from_text("S -> A 'b' 'c' S | A 'b' 'b' 'c' S | B 'b' 'b' 'd' S | 'e'\nA -> 'a'\nB -> 'a'")
    parser = CompiledParser(grammar)
    assert parser.tables.k == 3
    assert parser.next_terminals("abcabbdabbc" * 60 + "abb") == ["c", "d"]
    assert parser.next_terminals("abc" * 60 + "ab") == ["b", "c"]
    assert parser.next_terminals("abc" * 60) == ["e", "a"]
    with pytest.raises(TextError, match="'e' is unexpected here") as caught:
        parser.parse("abc" * 60 + "abe")
    assert caught.value.position == 182


# -- batches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED)
def test_mixed_batches_keep_order_and_count(name):
    parser = parser_for(read_grammar(name))
    good = expressions(40) if name == "expressions" else forms(molecules(40))
    bad = ["", "é", "(", good[0] + ")", "\0", "\ud800", good[1][:-1] + "("]
    texts = good + bad * 3
    random.Random(2).shuffle(texts)
    batch = parser.parse_batch(texts)
    rejected = dict(batch.rejected)
    assert list(rejected) == sorted(rejected) == [i for i, text in enumerate(texts) if text in bad]
    assert len(batch.offsets) - 1 + len(rejected) == len(texts)
    assert batch.productions.dtype == np.int32 and batch.offsets.dtype == np.int64
    assert batch.offsets[0] == 0 and batch.offsets[-1] == len(batch.productions)
    row = 0
    for index, text in enumerate(texts):
        if index in rejected:
            with pytest.raises(TextError) as caught:
                parser.parse(text)
            assert str(caught.value) == str(rejected[index]) and rejected[index].text == text
        else:
            assert (
                parser.parse(text).tolist() == batch.productions[batch.offsets[row] : batch.offsets[row + 1]].tolist()
            )
            row += 1


@pytest.mark.parametrize("name", BUNDLED)
def test_empty_batches(name):
    parser = parser_for(read_grammar(name))
    batch = parser.parse_batch([])
    assert batch.productions.tolist() == [] and batch.offsets.tolist() == [0] and batch.rejected == []
    batch = parser.parse_batch(["", ""])
    assert (
        batch.productions.tolist() == [] and batch.offsets.tolist() == [0] and [i for i, _ in batch.rejected] == [0, 1]
    )


# -- size -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("smiles", "C" * 100_000),
        ("zinc", "C" * 100_000),
        ("expressions", "x+" * 50_000 + "x"),
        ("expressions", "(" * 10_000 + "x" + ")" * 10_000),
        ("expressions", "sin(" * 10_000 + "x" + ")" * 10_000),
        ("smiles", "C(" * 10_000 + "C" + ")" * 10_000),
        ("zinc", "C(" * 10_000 + "C" + ")" * 10_000),
        ("zinc", "C" + "(C)" * 30_000),
        ("zinc", "C" + "=1" * 30_000),
    ],
    ids=lambda value: value[:8],
)
def test_very_long_texts(name, text):
    grammar = read_grammar(name)
    parser = parser_for(grammar)
    depth = sys.getrecursionlimit()
    derivation = parser.parse(text)
    assert len(derivation) >= len(text) / 4
    assert spell(grammar, derivation) == text
    for wrong, position in ((text + ")", len(text)), (text[:-1] + "(", None)):
        batch = parser.parse_batch(["C", wrong, text])
        assert [index for index, _ in batch.rejected if index] == [1]
        assert position is None or batch.rejected[-1][1].position == position
    assert sys.getrecursionlimit() == depth


@pytest.mark.parametrize("n", [1, 2, 100])
def test_many_productions_a_character(n):
    """Empty sides and unit productions make derivations and stacks far longer than the text."""
    sides = [*(f"U{i} -> U{i + 1}" for i in range(40)), "U40 -> 'a'"]
    grammar = Grammar.from_text("S -> " + "E " * 150 + "U0 S |\nE ->\n" + "\n".join(sides))
    parser = CompiledParser(grammar)
    once = [0, *[2] * 150, *range(3, 44)]
    assert parser.parse("a" * n).tolist() == once * n + [1]
    batch = parser.parse_batch(["", "a" * n, "a"])
    assert batch.productions.tolist() == [1, *once * n, 1, *once, 1]


# -- spelling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ([], "incomplete"),
        ([0], "incomplete"),
        ([3], "incomplete"),
        ([3, 7, 3], "continues after its end"),
        ([7], "cannot be applied here"),
        ([3, 3], "cannot be applied here"),
        ([3, 12], "cannot be applied here"),
        ([-1], "cannot be applied here"),
        ([3, -1], "cannot be applied here"),
    ],
)
def test_derivations_that_are_none(tokens, said):
    with pytest.raises(InputError, match=said):
        spell(read_grammar("expressions"), np.array(tokens, dtype=np.int64))


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32), data=st.data())
def test_a_broken_derivation_is_refused_or_spells_a_text(seed, data):
    grammar = read_grammar("expressions")
    tokens = random_derivation(grammar, random.Random(seed), 20)
    tokens[data.draw(st.integers(0, len(tokens) - 1))] = data.draw(st.integers(0, grammar.size - 1))
    try:
        text = spell(grammar, tokens)
    except InputError:
        return
    assert parser_for(grammar).parse(text).tolist() == tokens.tolist()
