"""grammar_rae.expressions: values against Python's own, equivalence, and the published set."""

import ast
import math
import random
import re
import warnings
from functools import cache

import numpy as np
import pytest
from derivations import random_derivation, spelled
from hypothesis import given, settings
from hypothesis import strategies as st

from grammar_rae.codecs import GrammarCodec
from grammar_rae.errors import InputError, TextError
from grammar_rae.expressions import GRID, MAX_CHARACTERS, are_equivalent, evaluate, expression_set
from grammar_rae.grammar import CompiledParser, read_grammar

X = np.array([[-10.0, -1.0, -0.0], [0.5, 1.0, 1e3]])
NUMBER = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")

the_set = cache(expression_set)


def python(text, x=X):
    """What Python makes of a text, in which every number is a float64 of NumPy: dividing by zero is no error."""
    names = {"number": np.float64, "sin": np.sin, "exp": np.exp, "x": x, "__builtins__": {}}
    with np.errstate(all="ignore"):
        return np.broadcast_to(eval(NUMBER.sub(r"number('\g<0>')", text.strip()), names), x.shape)


def same(text, x=X):
    """The value is Python's, in the last bit, and nothing warns of it."""
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error")
        value = evaluate(text, x)
    assert value.dtype == np.float64
    np.testing.assert_array_equal(value, python(text, x))


# ---- values


@given(st.randoms(use_true_random=False), st.integers(2, 60))
def test_strings_of_the_grammar_have_the_value_that_python_gives_them(chance, longest):
    grammar = read_grammar("expressions")
    same(spelled(grammar, random_derivation(grammar, chance, longest)))


BLANK = st.sampled_from(["", "", " ", "\t"])
LEAVES = st.sampled_from(["x", "x", "0", "00", "1", "12", "2.5", ".5", "3.", "01.5", "9" * 400])


def larger(inner):
    return st.one_of(
        st.builds("{}{}{}{}{}".format, inner, BLANK, st.sampled_from("+-*/"), BLANK, inner),
        st.builds("{}{}({}{}){}".format, st.sampled_from(["", "sin", "exp"]), BLANK, inner, BLANK, BLANK),
        st.builds("-{}{}".format, BLANK, inner),
    )


@given(st.recursive(LEAVES, larger, max_leaves=12))
def test_signs_decimals_blanks_and_zero_are_read_as_python_reads_them(text):
    same(text)


TOKENS = ["x", "1", "2.5", ".5", "0", "01", "+", "-", "*", "/", "(", ")", "sin(", "exp(", "sin", " ", "y", ",", "e5"]


def is_expression(text):
    """Whether Python reads a text as nothing but what an expression may have."""
    if re.search(
        r"(sin|exp)(?! *\()|0x|[0-9.]e", text
    ):  # (sin)(x), hexadecimal numbers and exponents are Python's only
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return False
    operators = ast.Add | ast.Sub | ast.Mult | ast.Div

    def good(node):
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                return isinstance(op, operators) and good(left) and good(right)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return good(operand)
            case ast.Call(func=ast.Name(id="sin" | "exp"), args=[inner]):
                return good(inner)
            case ast.Name(id="x") | ast.Constant():
                return True
        return False

    return good(tree.body)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(TOKENS), max_size=9).map("".join))
def test_a_text_is_an_expression_when_python_can_read_it_as_one(text):
    if is_expression(text):
        same(text)
    else:
        with pytest.raises(TextError) as caught:
            evaluate(text, X)
        assert caught.value.text == text
        assert 0 <= caught.value.position <= len(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1+2*x", 21),
        ("1-2-3", -4),
        ("3/2/2", 0.75),
        ("2-3*-x", 32),
        ("--x", 10),
        ("1/3+x+sin(x*x)", 1 / 3 + 10 + math.sin(100)),
        ("1/(x-x)", math.inf),
        ("-1/(x-x)", -math.inf),
        ("(x-x)/(x-x)", math.nan),
        ("exp(exp(x))", math.inf),
        ("sin(exp(exp(x)))", math.nan),
        ("exp(exp(x))/exp(exp(x))", math.nan),
    ],
)
def test_values_that_are_known(text, value):
    assert evaluate(text, 10.0) == pytest.approx(value, nan_ok=True)
    same(text)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "empty"),
        ("  ", 2, "empty"),
        ("1+", 2, r"the end.*a number"),
        ("x x", 2, r"'x'.*an operator"),
        ("(x", 2, "never closed"),
        ("x)", 1, r"'\)'.*an operator"),
        ("()", 1, r"'\)'.*a number"),
        ("x**2", 2, r"'\*'.*a number"),
        ("+x", 0, r"'\+'.*a number"),
        ("01", 1, "'1'"),
        ("0x1", 1, "'x'"),
        ("1e5", 1, "'e'"),
        ("x +  y", 5, "'y'"),
        ("sin x", 0, "'s'"),
        ("cos(x)", 0, "'c'"),
        ("x\n", 1, r"'\\n'"),
        ("x+\u0661", 2, "'\u0661'"),
        ("__import__('os')", 0, "'_'"),
    ],
)
def test_errors_tell_where_and_why(text, position, words):
    with pytest.raises(TextError, match=words) as caught:
        evaluate(text, X)
    assert caught.value.position == position


def test_no_depth_and_no_length_exhausts_anything():
    for text in ("(" * 1000 + "x" + ")" * 1000, "-" * (MAX_CHARACTERS - 1) + "x", "sin(" * 1500 + "x" + ")" * 1500):
        assert np.isfinite(evaluate(text, X)).all()
    assert evaluate("x+" * 4000 + "x", 1.0) == 4001
    for text in ("(" * 1000, "x" + ")" * 1000, "x" + " " * 9000 + "y"):
        with pytest.raises(TextError):
            evaluate(text, X)
    with pytest.raises(TextError, match=r"too long.*10001 characters"):
        evaluate("x" * 10_001, X)
    with pytest.raises(TextError, match=r"must be a string.*NoneType"):
        evaluate(None, X)


def test_the_result_has_the_shape_of_x_and_memory_of_its_own():
    for shape in ((), (3,), (2, 3), (0,)):
        x = np.ones(shape, dtype=np.int64)
        for text in ("x", "2", "x*2"):
            assert evaluate(text, x).shape == shape
            assert evaluate(text, x).dtype == np.float64
    x = np.ones(3)
    evaluate("x", x)[:] = 5
    evaluate("2", x)[0] = 7  # writable, although one number stands for all
    assert x.tolist() == [1, 1, 1]


# ---- equivalence


def test_equivalents_are_the_same_function_and_no_other():
    texts = ["x+1", "1+x", "(x)+1", "x/1+1", "x+2-1", "x+1.001", "x*1", "sin(x)", "nothing", None]
    assert are_equivalent(texts, "x+1").tolist() == [True] * 5 + [False] * 5
    # On most of the grid exp(x*x) leaves no digit for the 1.
    assert are_equivalent(["1+exp(x*x)", "2+exp(x*x)"], "exp(x*x)+1").tolist() == [True, False]
    assert are_equivalent(iter([]), "x").shape == (0,)
    assert are_equivalent([], "x").dtype == np.bool_


def test_what_is_infinite_or_nan_has_to_be_so_in_the_other_too():
    texts = ["exp(exp(x*x))", "2*exp(exp(x*x))", "x", "1/(x-x)", "2/(x-x)", "-1/(x-x)", "0/(x-x)", "(x-x)/0"]
    assert are_equivalent(texts, "1/0").tolist() == [False] * 3 + [True, True] + [False] * 3
    assert are_equivalent(texts, "0/0").tolist() == [False] * 6 + [True, True]
    assert are_equivalent(texts, "0").tolist() == [False] * 8
    assert are_equivalent(texts, "exp(exp(x*x))").tolist() == [True] + [False] * 7


def test_equivalence_is_refused_for_no_expression_and_for_a_single_text():
    with pytest.raises(TextError):
        are_equivalent(["x"], "y")
    with pytest.raises(InputError, match="must be a list"):
        are_equivalent("x", "x")


# ---- the set


def test_the_set_has_the_size_and_the_lengths_that_are_known():
    texts = the_set()
    assert len(texts) == len(set(texts)) == 122_880
    assert {min(map(len, texts)), max(map(len, texts))} == {7, 19}
    for member in ("x+x+x+x", "1/3+(x)+sin(x*x)", "1/3+x+sin(x*x)", "3*x+sin(2)+exp(3/x)", "3/3+3+3"):
        assert member in texts
    for stranger in ("x", "1/3+sin(x*x)+x", "1/3+(x*x)+x", "x+x+x"):
        assert stranger not in texts


def test_every_text_of_the_set_is_of_the_grammar_with_8_to_14_productions():
    grammar = read_grammar("expressions")
    batch = CompiledParser(grammar).parse_batch(the_set())
    assert not batch.rejected
    productions = np.diff(batch.offsets)
    assert (productions.min(), productions.max()) == (8, 14)


def test_every_text_of_the_set_comes_back_from_the_codec():
    codec = GrammarCodec(form="expression", table=read_grammar("expressions"))
    texts = the_set()
    batch = codec.encode_batch(texts)
    assert not batch.rejected
    for i in random.Random(0).sample(range(len(texts)), 500):
        assert codec.decode(batch.tokens[batch.offsets[i] : batch.offsets[i + 1]]) == texts[i]
        assert codec.canonical(texts[i]) == texts[i]


def test_the_order_is_that_of_the_published_rows():
    """Facts of the published file: its first rows, its last row, and its 2,794,920 characters in all."""
    published = the_set()[:100_000]
    spaced = [" ".join(re.findall(r"(?:sin|exp)?\(|[x123+*/)]", text)) for text in published]
    assert spaced[:2] == ["x + x + ( x ) + ( x + x )", "x + x + ( x ) + ( x + 1 )"]
    assert spaced[16] == "x + x + ( x ) + ( x * x )"
    assert spaced[48:53] == [f"x + x + ( x ) + {v}" for v in ("( x )", "( 1 )", "( 2 )", "( 3 )", "sin( x + x )")]
    assert spaced[156:161] == [
        "x + x + ( x ) + x",
        *(f"x + x + ( x ) + {n}" for n in "123"),
        "x + x + ( 1 ) + ( x + x )",
    ]
    assert spaced[1919:1921] == ["x + x + exp( 3 ) + 3", "x + x + x + ( x + x )"]
    assert spaced[2560] == "x + 1 + ( x ) + ( x + x )"
    assert spaced[-1] == "1 / 3 + ( x ) + 3"
    assert sum(len(text) + 1 for text in spaced) == 2_794_920


def test_the_optimum_is_among_the_published_rows_once():
    texts = the_set()
    found = np.flatnonzero(are_equivalent(texts[98_000:103_000], "1/3+x+sin(x*x)")) + 98_000
    assert [texts[i] for i in found] == ["1/3+(x)+sin(x*x)", "1/3+x+sin(x*x)"]
    assert (found < 100_000).tolist() == [True, False]


def test_the_grid_is_the_published_one_and_cannot_be_changed():
    assert GRID.tolist() == np.linspace(-10, 10, 1000).tolist()
    with pytest.raises(ValueError, match="read-only"):
        GRID[0] = 0
