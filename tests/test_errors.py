"""What errors quote, and how much of it."""

import pickle

import pytest

import grammar_rae
from grammar_rae.errors import GrammarRAEError, InputError, TextError, UnknownNameError

LONG = "C" * 100_000


@pytest.mark.parametrize(
    "error",
    [
        InputError(LONG, received=LONG, expected=LONG, where=LONG, remedy=LONG),
        TextError("no", text=LONG, position=50_000),
        UnknownNameError("score", LONG, ["qed", LONG]),
    ],
)
def test_errors_quote_little_and_keep_all(error: GrammarRAEError) -> None:
    assert len(str(error)) < 3_000
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and again.message == error.message


@pytest.mark.parametrize("position", [0, 99, 150, 50_000, 99_999])
def test_a_caret_stands_under_its_character(position: int) -> None:
    text = LONG[:position] + "?" + LONG[position + 1 :]
    line, caret = TextError("no", text=text, position=position).caret().splitlines()
    assert line[caret.index("^")] == "?" and len(line) < 250


def test_a_long_prefix_is_refused_shortly() -> None:
    with pytest.raises(GrammarRAEError) as caught:
        grammar_rae.sample(1, model="molecules", constraint=f"scaffold-prefix={'C' * 5_000}(")
    assert len(str(caught.value)) < 1_500
