"""What a model knows of its training rows, and what it says when it is asked for other texts."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model.texts.text_models import TEXTS
from typer.testing import CliRunner

import grammar_rae
from grammar_rae import checkpoint, chem
from grammar_rae.cli import app
from grammar_rae.codecs import GrammarCodec
from grammar_rae.datasets import encode
from grammar_rae.errors import CheckpointError, TextError, UnfamiliarWarning, UnknownNameError
from grammar_rae.grammar import read_grammar
from grammar_rae.model import TextModel
from grammar_rae.model.known import Known, symbols_of
from grammar_rae.model.reading import check_meta

CODEC = GrammarCodec(form="kekule", table=read_grammar("smiles"))
STRANGERS = {"[13CH3]CO": "[13CH3]", "CC[NH3+]": "[NH3+]", "C[Si](C)(C)C": "[Si]", "C[C@H](F)Cl": "[C@H]"}


@pytest.mark.parametrize(
    ("text", "molecules", "expected"),
    [
        ("C1=CC(Cl)=CC=C1Br", True, {"C", "=", "Cl", "Br"}),
        ("F/C=C\\[NH3+].[Na+]", True, {"F", "/", "C", "=", "\\", "[NH3+]", ".", "[Na+]"}),
        ("sin(x)", False, {"s", "i", "n", "(", "x", ")"}),
        ("", True, set()),
    ],
)
def test_symbols(text: str, molecules: bool, expected: set[str]) -> None:
    assert symbols_of(text, molecules) == expected


def test_rows_are_counted_as_by_hand() -> None:
    data = encode(TEXTS, CODEC)
    known = Known.of(data, CODEC)
    forms = [chem.kekule(text) for text in TEXTS]
    assert known.rows == len(TEXTS) and known.rare_tokens == ()
    assert known.symbols == {
        symbol: sum(symbol in symbols_of(form, True) for form in forms)
        for symbol in sorted(set().union(*(symbols_of(form, True) for form in forms)))
    }
    assert Known.from_dict(known.to_dict()) == known


def test_a_symbol_is_known_from_one_row_in_a_hundred_thousand_and_ten_at_most() -> None:
    assert [Known(rows, {}).enough for rows in (1, 99_999, 100_000, 500_000, 10**7)] == [1, 1, 2, 6, 10]
    batch = CODEC.encode_batch(["CCO", "CCF"])
    assert Known(500_000, {"C": 500_000, "O": 6, "F": 5}).unknown_in(batch, CODEC) == {1: ["F"]}


def test_tokens_that_were_never_seen_are_unknown() -> None:
    data = encode(TEXTS * 3, CODEC)
    rare = Known.of(data, CODEC).rare_tokens
    counts = np.bincount(np.concatenate([data.tokens(i) for i in range(len(data))]), minlength=CODEC.rules.size)
    assert rare == tuple(np.flatnonzero(counts < 1)) and rare
    nine = CODEC.encode_batch(["C12C3C4C5C6C7C8C9C1C2C3C4C5C6C7C8C9"])
    found = Known.of(data, CODEC).unknown_in(nine, CODEC)
    found = Known.of(data, CODEC).unknown_in(nine, CODEC)
    assert list(found) == [0] and all(token in map(CODEC.show, rare) for token in found[0])


def test_others_are_told_once_with_numbers_and_an_example(model: TextModel) -> None:
    texts = [*TEXTS[:10], *STRANGERS, "CC("]
    with pytest.warns(UserWarning) as told:
        encoded = model.encode(texts, errors="skip")
    ours = [str(one.message) for one in told if one.category is UnfamiliarWarning]
    assert len(ours) == 1 and ours[0].startswith("4 of 14 texts contain what the model was not trained on")
    assert "[13CH3] (1)" in ours[0] and "'[13CH3]CO'" in ours[0]
    assert len(encoded) == 14


@pytest.mark.parametrize("text", STRANGERS)
def test_every_way_to_a_code_tells(model: TextModel, text: str) -> None:
    for ask in (
        lambda: model.encode([text]),
        lambda: model.reconstruct([text]),
        lambda: model.reconstruction([text]),
        lambda: model.interpolate(TEXTS[0], text, steps=2),
        lambda: model.transform([text]),
    ):
        with pytest.warns(UnfamiliarWarning, match="1 of"):
            ask()


def test_the_warning_points_to_who_asked(model: TextModel) -> None:
    for ask in (model.encode, model.reconstruct, model.reconstruction):
        with pytest.warns(UnfamiliarWarning) as told:
            ask([next(iter(STRANGERS))])
        assert told[0].filename == __file__


def test_known_texts_are_silent(model: TextModel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnfamiliarWarning)
        model.encode(TEXTS[:50])
        model.encode(list(STRANGERS), unknown="ignore")


def test_others_are_refused_where_asked(model: TextModel) -> None:
    texts = [TEXTS[0], *STRANGERS, TEXTS[1], "CC("]
    encoded = model.encode(texts, errors="skip", unknown="refuse")
    assert encoded.rows.tolist() == [0, 5] and list(encoded.rejected) == [1, 2, 3, 4, 6]
    np.testing.assert_allclose(encoded.codes, model.encode(TEXTS[:2]), atol=1e-5)
    for index, symbol in enumerate(STRANGERS.values(), start=1):
        assert f"received {symbol}" in encoded.rejected[index]
    with pytest.raises(TextError, match=r"text 2 of 7.*\[13CH3\]"):
        model.encode(texts, unknown="refuse")
    with pytest.raises(UnknownNameError):
        model.encode(texts, unknown="drop")


def test_it_is_saved_and_checked(model: TextModel, tmp_path: Path) -> None:
    model.save(tmp_path, compact=True)
    assert TextModel.load(tmp_path).known_ == model.known_
    meta = checkpoint.read_meta(tmp_path)
    for wrong in (None, {}, {"rows": -1}, {"symbols": {"C": 1.5}}, {"symbols": {"C": -1}}, {"rare_tokens": ["x"]}):
        broken = wrong if not wrong else {**meta["known"], **wrong}
        with pytest.raises(CheckpointError):
            check_meta({**meta, "known": broken})
    del meta["known"]
    check_meta(meta)


def test_a_model_that_counted_nothing_says_nothing(model: TextModel) -> None:
    before, model.fitted_ = model.fitted_, replace(model.fitted_, known=None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnfamiliarWarning)
            model.encode(list(STRANGERS))
    finally:
        model.fitted_ = before


def test_check_tells_the_share_that_a_model_knows(model: TextModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    file = tmp_path / "a.smi"
    file.write_text("\n".join([*TEXTS[:6], *STRANGERS, "CC("]))
    result = CliRunner().invoke(app, ["check", str(file), "-m", str(tmp_path / "model")])
    assert result.exit_code == 0, result.output
    assert "10 of 11 rows are covered" in result.stdout
    assert "6 of 11 rows have only what the model was trained on (54.55 %)" in result.stdout
    assert "[NH3+]  for example CC[NH3+]" in result.stdout
    both = CliRunner().invoke(app, ["check", str(file), "-m", str(tmp_path / "model"), "--grammar", "smiles"])
    assert both.exit_code == 2


@pytest.mark.parametrize("name", ["molecules", "moses"])
def test_the_box_knows_what_it_was_trained_on(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnfamiliarWarning)
        model = grammar_rae.load(name)
        assert model.known_ is not None
        model.encode(TEXTS[:100])
    strange = ["[13CH3]CO", "C[Ge](C)C"] + (list(STRANGERS) if name == "moses" else [])
    for text in strange:
        with pytest.warns(UnfamiliarWarning):
            model.encode([text], errors="skip")
