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


SHORT = ["kekule", "aromatic", "text"]
MANY = [*SHORT, *(f"recipe-{number}" for number in range(60))]


def test_an_unknown_name_of_a_short_table_is_told_all_names() -> None:
    error = UnknownNameError("form", "Kekulé", SHORT, "`grammar-rae list forms`")
    told = "unknown form; received 'Kekulé'; expected one of aromatic, kekule, text. Did you mean 'kekule'?"
    assert str(error) == told


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("AROMATIK", "Did you mean 'aromatic'? "),
        ("kul", "Did you mean 'kekule'? "),
        ("recipe-599", "Did you mean 'recipe-59', 'recipe-9' or 'recipe-5'? "),
        ("?", ""),
        (None, ""),
    ],
)
def test_an_unknown_name_of_a_long_table_is_told_the_nearest_and_where_all_are(name: object, near: str) -> None:
    error = UnknownNameError("form", name, MANY, "`grammar-rae list forms`")
    told = f"unknown form; received {name!r}; expected one of 63 names. {near}All of them: `grammar-rae list forms`."
    assert str(error) == told


def test_an_unknown_name_of_an_empty_table() -> None:
    assert str(UnknownNameError("property", "qed", [])) == "unknown property; received 'qed'."


@pytest.mark.parametrize("position", [0, 99, 150, 50_000, 99_999])
def test_a_caret_stands_under_its_character(position: int) -> None:
    text = LONG[:position] + "?" + LONG[position + 1 :]
    line, caret = TextError("no", text=text, position=position).caret().splitlines()
    assert line[caret.index("^")] == "?" and len(line) < 250


def test_a_long_prefix_is_refused_shortly() -> None:
    with pytest.raises(GrammarRAEError) as caught:
        grammar_rae.sample(1, model="molecules", constraint=f"scaffold-prefix={'C' * 5_000}(")
    assert len(str(caught.value)) < 1_500


def test_a_reason_has_limit_place_and_remedy_and_not_the_text():
    long = TextError.too_long("the text is too long", "C" * 12, 10)
    assert long.reason == "the text is too long; received 12 characters; expected at most 10"
    parts = TextError("no ring", text="C1", position=1, expected="a ring", remedy="Close it.")
    assert parts.reason == "no ring; character 2; expected a ring. Close it."


def test_what_rdkit_wrote_is_blamed_as_such():
    error = TextError("'>' is unknown", text="N->[Fe]", position=2)
    error.blame_rewriting("N->[Fe]")
    assert error.source is None and error.reason == "'>' is unknown; character 3"
    error.blame_rewriting("N[Fe]")
    assert error.reason == "'>' is unknown; character 3 of 'N->[Fe]', which RDKit writes for it"
    assert "received 'N->[Fe]', which RDKit writes for 'N[Fe]'" in str(error)
