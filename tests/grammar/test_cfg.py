import json
import subprocess
import sys

import numpy as np
import pytest
from derivations import built, least_steps, searched_steps, small_grammars
from hypothesis import assume, given

from grammar_rae.errors import GrammarError, UnknownNameError
from grammar_rae.grammar import NEVER, Grammar, Production, Rules, parser_for, read_grammar
from grammar_rae.resources import bundled_file

BUNDLED = ["expressions", "smiles", "zinc"]

ELEMENTS = [
    "H",
    "He",
    "Li",
    "Be",
    "B",
    "C",
    "N",
    "O",
    "F",
    "Ne",
    "Na",
    "Mg",
    "Al",
    "Si",
    "P",
    "S",
    "Cl",
    "Ar",
    "K",
    "Ca",
    "Sc",
    "Ti",
    "V",
    "Cr",
    "Mn",
    "Fe",
    "Co",
    "Ni",
    "Cu",
    "Zn",
    "Ga",
    "Ge",
    "As",
    "Se",
    "Br",
    "Kr",
    "Rb",
    "Sr",
    "Y",
    "Zr",
    "Nb",
    "Mo",
    "Tc",
    "Ru",
    "Rh",
    "Pd",
    "Ag",
    "Cd",
    "In",
    "Sn",
    "Sb",
    "Te",
    "I",
    "Xe",
    "Cs",
    "Ba",
    "La",
    "Ce",
    "Pr",
    "Nd",
    "Pm",
    "Sm",
    "Eu",
    "Gd",
    "Tb",
    "Dy",
    "Ho",
    "Er",
    "Tm",
    "Yb",
    "Lu",
    "Hf",
    "Ta",
    "W",
    "Re",
    "Os",
    "Ir",
    "Pt",
    "Au",
    "Hg",
    "Tl",
    "Pb",
    "Bi",
    "Po",
    "At",
    "Rn",
    "Fr",
    "Ra",
    "Ac",
    "Th",
    "Pa",
    "U",
    "Np",
    "Pu",
    "Am",
    "Cm",
    "Bk",
    "Cf",
    "Es",
    "Fm",
    "Md",
    "No",
    "Lr",
    "Rf",
    "Db",
    "Sg",
    "Bh",
    "Hs",
    "Mt",
    "Ds",
    "Rg",
    "Cn",
    "Nh",
    "Fl",
    "Mc",
    "Lv",
    "Ts",
    "Og",
]
AROMATIC = ["b", "c", "n", "o", "p", "s", "se", "as", "te"]

# The productions of Kusner, Paige and Hernandez-Lobato's molecule grammar, in their order.
PAPER = """
smiles -> chain; atom -> bracket_atom; atom -> aliphatic_organic; atom -> aromatic_organic;
aliphatic_organic -> 'B'; aliphatic_organic -> 'C'; aliphatic_organic -> 'N'; aliphatic_organic -> 'O';
aliphatic_organic -> 'S'; aliphatic_organic -> 'P'; aliphatic_organic -> 'F'; aliphatic_organic -> 'I';
aliphatic_organic -> 'Cl'; aliphatic_organic -> 'Br'; aromatic_organic -> 'c'; aromatic_organic -> 'n';
aromatic_organic -> 'o'; aromatic_organic -> 's'; bracket_atom -> '[' BAI ']'; BAI -> isotope symbol BAC;
BAI -> symbol BAC; BAI -> isotope symbol; BAI -> symbol; BAC -> chiral BAH; BAC -> BAH; BAC -> chiral;
BAH -> hcount BACH; BAH -> BACH; BAH -> hcount; BACH -> charge class; BACH -> charge; BACH -> class;
symbol -> aliphatic_organic; symbol -> aromatic_organic; isotope -> DIGIT; isotope -> DIGIT DIGIT;
isotope -> DIGIT DIGIT DIGIT; DIGIT -> '1'; DIGIT -> '2'; DIGIT -> '3'; DIGIT -> '4'; DIGIT -> '5'; DIGIT -> '6';
DIGIT -> '7'; DIGIT -> '8'; chiral -> '@'; chiral -> '@@'; hcount -> 'H'; hcount -> 'H' DIGIT; charge -> '-';
charge -> '-' DIGIT; charge -> '-' DIGIT DIGIT; charge -> '+'; charge -> '+' DIGIT; charge -> '+' DIGIT DIGIT;
bond -> '-'; bond -> '='; bond -> '#'; bond -> '/'; bond -> '\\'; ringbond -> DIGIT; ringbond -> bond DIGIT;
branched_atom -> atom; branched_atom -> atom RB; branched_atom -> atom BB; branched_atom -> atom RB BB;
RB -> RB ringbond; RB -> ringbond; BB -> BB branch; BB -> branch; branch -> '(' chain ')'; branch -> '(' bond chain ')';
chain -> branched_atom; chain -> chain branched_atom; chain -> chain bond branched_atom; Nothing -> None
"""


# -- reading --------------------------------------------------------------------------------------------------------


def test_notation():
    grammar = Grammar.from_text("# a comment\nS -> A 'b' | 'c' |\nA -> \"a'\" S\n", name="toy")
    assert grammar.name == "toy"
    assert grammar.nonterminals == ("S", "A")
    assert grammar.terminals == ("b", "c", "a'")
    assert grammar.productions == (
        Production(0, (1, ~0)),
        Production(0, (~1,)),
        Production(0, ()),
        Production(1, (~2, 0)),
    )
    assert [production.children for production in grammar.productions] == [(1,), (), (), (0,)]
    assert grammar.start == 0 and grammar.size == 4
    assert [grammar.show(i) for i in range(4)] == ["S -> A 'b'", "S -> 'c'", "S ->", 'A -> "a\'" S']


def test_first_left_hand_side_starts_unless_another_is_named():
    assert Grammar.from_text("T -> 'a'\nS -> 'b'").nonterminals[0] == "T"
    grammar = Grammar.from_text("T -> 'a'\n%start S\nS -> T 'b'")
    assert grammar.nonterminals[grammar.start] == "S"
    assert Grammar.from_text(grammar.text) == Grammar.from_text("T -> 'a'\n%start S\nS -> T 'b'")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "No productions"),
        ("# nothing\n", "No productions"),
        ("S", "arrow"),
        ("-> 'a'", "nonterminal"),
        ("S -> 'a", "Unterminated"),
        ("S -> 'a' ]", "NLTK's notation"),
        ("%start", "NLTK's notation"),
        ("%begin S\nS -> 'a'", "directive"),
        ("S -> 'a'\nT -> 'b'\nS -> 'a'", "S -> 'a'"),
        ("S -> A | B\nA -> 'a'\nB -> 'b' | 'b'", "B -> 'b'"),
        ("S -> 'a' ''", "empty string"),
        ("S -> S", "derives no text"),
        ("S -> 'a' T", "derives no text"),
        ("S -> A\nA -> 'a' B\nB -> 'b' A", "derives no text"),
        ("%start T\nS -> 'a'", "no production"),
    ],
)
def test_unusable_text(text, said):
    with pytest.raises(GrammarError, match=said) as caught:
        Grammar.from_text(text, name="toy")
    assert caught.value.where == "toy"


def test_no_production():
    with pytest.raises(GrammarError, match="at least one production"):
        Grammar.from_productions("toy", "S", [])


@given(small_grammars())
def test_text_and_json_round_trips(productions):
    grammar = built(productions)
    assume(grammar)
    read = Grammar.from_dict(json.loads(json.dumps(grammar.to_dict())))
    assert read == grammar
    again = Grammar.from_text(grammar.text, name="small")
    assert again == grammar
    assert again.fingerprint == read.fingerprint == grammar.fingerprint


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_grammars_go_through_json_without_nltk(name):
    grammar = read_grammar(name)
    program = (
        "import json, sys; from grammar_rae.grammar import Grammar, parser_for; "
        "grammar = Grammar.from_dict(json.load(sys.stdin)); parser_for(grammar); "
        "print(grammar.fingerprint); assert 'nltk' not in sys.modules"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(grammar.to_dict()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == grammar.fingerprint


def test_fingerprint_is_of_the_productions_and_their_order():
    one = Grammar.from_text("S -> 'a' | 'b'", name="one")
    assert one.fingerprint == Grammar.from_text("S -> 'a'\nS -> 'b'", name="other").fingerprint
    assert one.fingerprint != Grammar.from_text("S -> 'b' | 'a'").fingerprint
    assert one.fingerprint != Grammar.from_text("S -> 'a' | 'c'").fingerprint
    assert one.fingerprint != Grammar.from_text("%start T\nS -> 'a' | 'b'\nT -> S").fingerprint
    assert Grammar.from_text("S -> A\nA -> 'A'").fingerprint != Grammar.from_text("S -> 'A'\nA -> 'A'").fingerprint


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        "S -> 'a'",
        None,
        {"name": "x", "start": "S"},
        {"name": "x", "start": "S", "productions": 3},
        {"name": "x", "start": "S", "productions": [["S"]]},
        {"name": "x", "start": "S", "productions": [["S", [[True]]]]},
        {"name": "x", "start": "T", "productions": [["S", [[True, "a"]]]]},
        {"name": "x", "start": "S", "productions": []},
        {"name": "x", "start": "S", "productions": [["S", [[True, "\ud800"]]]]},
    ],
)
def test_data_of_another_form(data):
    with pytest.raises(GrammarError):
        Grammar.from_dict(data)


def test_without_a_terminal():
    grammar = Grammar.from_text("S -> A '.' S | A\nA -> 'a' | '.' 'b'")
    assert grammar.without(".").text == "%start S\nS -> A\nA -> 'a'\n"
    assert grammar.without("x") == grammar
    assert grammar.size == 4
    with pytest.raises(GrammarError, match="derives no text"):
        grammar.without("a").without(".")


# -- reading by name ------------------------------------------------------------------------------------------------


def test_unknown_name_lists_the_bundled():
    with pytest.raises(UnknownNameError, match="expressions, smiles, zinc") as caught:
        read_grammar("smile")
    assert "'smiles'" in str(caught.value)


@pytest.mark.parametrize("source", ["", ".", "/", "S -> 'a' " * 200, "no/such/file"])
def test_sources_that_are_no_file(source):
    with pytest.raises(UnknownNameError):
        read_grammar(source)


def test_files(tmp_path):
    path = tmp_path / "toy.cfg"
    for source in (path, str(path)):
        with pytest.raises(GrammarError, match="cannot read"):
            read_grammar(source)
    path.write_text("S -> 'ä'\n", encoding="utf-8")
    assert read_grammar(path) == read_grammar(str(path)) == Grammar.from_text("S -> 'ä'", name="toy")
    path.write_bytes(b"\xef\xbb\xbfS -> 'a'\r\nS -> 'b'\r\n")  # as an editor on Windows writes it
    assert read_grammar(path).terminals == ("a", "b")
    path.write_bytes(b"S -> '\xff'\n")
    with pytest.raises(GrammarError, match="cannot read") as caught:
        read_grammar(path)
    assert caught.value.where == str(path)
    path.write_text("S = 'a'", encoding="utf-8")
    with pytest.raises(GrammarError, match="toy"):
        read_grammar(path)
    other = tmp_path / "toy.txt"
    other.write_text("S -> 'c'", encoding="utf-8")
    assert read_grammar(other).terminals == ("c",)
    with pytest.raises(GrammarError, match="cannot read"):
        read_grammar(tmp_path / "a\0b.cfg")
    (tmp_path / "folder.cfg").mkdir()
    with pytest.raises(GrammarError, match="cannot read"):
        read_grammar(tmp_path / "folder.cfg")


# -- the bundled grammars -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED)
def test_name_and_path_give_the_same(name):
    assert read_grammar(name) == read_grammar(bundled_file(f"grammars/{name}.cfg"))
    assert read_grammar(name).name == name


def test_zinc_is_the_papers_grammar():
    grammar = read_grammar("zinc")
    assert [grammar.show(i) for i in range(grammar.size)] == " ".join(PAPER.split()).split("; ")
    assert grammar.size == 76
    dead = {grammar.show(i) for i in np.flatnonzero(~grammar.rules.usable)}
    assert dead == {"BACH -> charge class", "BACH -> class", "Nothing -> None"}
    for name in ("class", "None", "Nothing"):
        assert not grammar.rules.is_productive(grammar.nonterminals.index(name))
    assert grammar.rules.shortest == 5  # smiles, chain, branched_atom, atom, one of an atom's three


def test_expressions_are_the_papers_grammar():
    grammar = read_grammar("expressions")
    assert [grammar.show(i) for i in range(grammar.size)] == [
        *("S -> S '+' T", "S -> S '*' T", "S -> S '/' T", "S -> T"),
        *("T -> '(' S ')'", "T -> 'sin(' S ')'", "T -> 'exp(' S ')'", "T -> 'x'", "T -> '1'", "T -> '2'", "T -> '3'"),
        "Nothing -> None",
    ]
    assert not grammar.rules.usable[11] and grammar.rules.usable[:11].all()
    assert grammar.rules.shortest == 2


def spelled_by(grammar, nonterminal):
    """All that a nonterminal of finitely many texts spells."""
    found = []
    for production in grammar.productions:
        if production.lhs == grammar.nonterminals.index(nonterminal):
            texts = [""]
            for symbol in production.rhs:
                parts = (
                    [grammar.terminals[~symbol]] if symbol < 0 else spelled_by(grammar, grammar.nonterminals[symbol])
                )
                texts = [text + part for text in texts for part in parts]
            found += texts
    return found


def test_smiles_has_every_element():
    assert len(ELEMENTS) == len(set(ELEMENTS)) == 118
    spelled = spelled_by(read_grammar("smiles"), "symbol")
    assert sorted(spelled) == sorted([*ELEMENTS, *AROMATIC, "*"])


def test_smiles_reads_what_opensmiles_allows():
    parser = parser_for(read_grammar("smiles"))
    inside = [f"[{symbol}]" for symbol in [*ELEMENTS, *AROMATIC, "*"]]
    organic = ["B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I", "b", "c", "n", "o", "p", "s", "*"]
    brackets = ["[13CH4]", "[2H]", "[235U+4]", "[C@H]", "[C@@]", "[C@TH1]", "[C@AL2]", "[Pt@SP3]", "[As@TB20]"]
    brackets += ["[Co@OH30H2+3]", "[NH4+]", "[OH-]", "[Ti++]", "[O--]", "[Fe+12]", "[CH3:1]", "[CH3:123]", "[0C]"]
    bonds = [f"C{bond}C" for bond in ("", "-", "=", "#", "$", ":", "/", "\\")]
    rings = ["C1CC1", "C%10CC%10", "C=1CC1", "C12CC1C2", "C-%99CC-%99", "C0CC0", "C1(C)CC1", "C(C)(=O)C(/C)(\\C)C"]
    batch = parser.parse_batch([*inside, *organic, *brackets, *bonds, *rings, "C.C", "[Na+].[Cl-].O"])
    assert not batch.rejected
    outside = [
        "",
        "[]",
        "[C",
        "C]",
        "[1234C]",
        "[Xx]",
        "[CH10]",
        "[C+100]",
        "[C:1234]",
        "C(",
        "C()",
        "(C)",
        "1CC1",
        "C%1C",
    ]
    outside += [
        "=C",
        "C=",
        "C==C",
        "C.",
        ".C",
        "C..C",
        "Si",
        "C(C)1CC1",
        "C(.C)",
        "[C@@@]",
        "[HC]",
        "C C",
        "c1ccccc1.",
        "L",
    ]
    batch = parser.parse_batch(outside)
    assert [index for index, _ in batch.rejected] == list(range(len(outside)))


def test_longest_match_does_not_take_two_atoms_for_a_metal():
    assert len(parser_for(read_grammar("smiles")).parse("CSc1ccccc1")) > 10
    grammar = read_grammar("smiles")
    assert not {"Sc", "Cn", "Co", "Cs", "Sn", "No", "Os"} & set(grammar.terminals)


# -- the table of the rules -----------------------------------------------------------------------------------------


@given(small_grammars())
def test_costs_are_the_least(productions):
    grammar = built(productions)
    assume(grammar)
    rules = grammar.rules
    found = [searched_steps(grammar, symbol, bound=13) for symbol in range(len(grammar.nonterminals))]
    assert [None if steps >= NEVER else steps for steps in rules.min_steps.tolist()] == found
    for index, production in enumerate(grammar.productions):
        costs = [found[child] for child in production.children]
        if None in costs:
            assert rules.cost[index] >= NEVER and not rules.usable[index]
        else:
            assert rules.cost[index] == sum(costs) and rules.usable[index]
    assert rules.shortest == found[grammar.start]


@given(small_grammars())
def test_rules_mirror_the_productions(productions):
    grammar = built(productions)
    assume(grammar)
    rules = grammar.rules
    assert rules.size == grammar.size and rules.n_nonterminals == len(grammar.nonterminals)
    for index, production in enumerate(grammar.productions):
        arity = rules.arity[index]
        assert rules.lhs[index] == production.lhs
        assert tuple(rules.children[index, :arity]) == production.children
        assert (rules.children[index, arity:] == -1).all()
        for symbol in range(len(grammar.nonterminals)):
            assert rules.lhs_mask[symbol, index] == (symbol == production.lhs and rules.usable[index])


@pytest.mark.parametrize("name", BUNDLED)
def test_least_steps_of_the_bundled(name):
    grammar = read_grammar(name)
    assert grammar.rules.min_steps.tolist() == least_steps(grammar)


def test_costs_beyond_counting_stay_finite():
    # Each nonterminal takes twice the steps of the next: the first would take 2 ** 40.
    rules = Rules.build(list(range(41)), [[i + 1, i + 1] for i in range(40)] + [[]], 41, 0)
    assert rules.shortest == NEVER and not rules.is_productive(0)
    assert rules.is_productive(30) and rules.min_steps[39] == 3
    assert (rules.cost >= 0).all() and rules.cost.max() == NEVER
