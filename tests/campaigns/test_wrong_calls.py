"""Calls with wrong types, sizes and names: each is done or refused in a sentence, in Python and on the command line."""

import copy
import os
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from campaigns.ledger import Ledger
from typer.testing import CliRunner

import grammar_rae
from grammar_rae.cli import app
from grammar_rae.codecs import GrammarCodec, codec_from_dict
from grammar_rae.datasets import encode, read_texts, sample_texts
from grammar_rae.decoding import parse_spec
from grammar_rae.density import DENSITIES, MixtureDensity
from grammar_rae.errors import InputError
from grammar_rae.grammar import read_grammar
from grammar_rae.model import TextModel
from grammar_rae.recipes import RECIPES
from grammar_rae.resources import bundled_model

FEW, MANY = 300, 20_000
FEW_COMMANDS, MANY_COMMANDS = 15, 1_000
MODEL = "expressions"
TEXTS = ["x", "x+1", "sin(x)", "1/3+x+sin(x*x)"]
NASTY: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 1.5, 2**31, 2**63, 2**64, -(2**63), 10**9, 10**400, 1e308, -1.0, 5e-324),
    *("", "x", "no", "\x00", "\ud800", "a" * 10_000, "../x", b"x", 1j, [], {}, (), [[]], [None], [""], ["x", 3]),
    *(float("inf"), float("-inf"), float("nan"), np.float32(3), np.zeros((2, 3)), np.zeros(0), np.array(["x"])),
    *(np.array([object()]), torch.zeros(2), torch.tensor(float("nan")), object(), lambda: 1, range(3)),
    *({"a": 1}, Path("/nowhere")),
]
ENDLESS = ("n", "max_attempts", "steps", "nearest")
"""Arguments that may be as large as one has time for."""


def calls(model: TextModel, codec: GrammarCodec, data: Any) -> list[tuple[Callable[..., Any], dict[str, Any]]]:
    """What is called, with arguments that are right."""
    z = np.zeros((2, model.recipe_.latent), np.float32)
    tokens = codec.encode("x+1")
    return [
        (model.encode, {"texts": TEXTS, "errors": "skip", "noise": False, "seed": 0, "unknown": "warn"}),
        (model.decode, {"z": z, "temperature": 1.0, "top_p": 0.9, "seed": 0, "constraint": "grammar"}),
        (model.decode, {"z": z, "smoothing": 0.0, "canonical": True}),
        (model.decode, {"z": z, "beam": 2}),
        (model.decode, {"z": z, "nearest": 2}),
        (model.decode_batch, {"z": z}),
        (model.sample, {"n": 2, "valid_only": False, "seed": 0, "temperature": 1.0, "max_attempts": 3}),
        (model.interpolate, {"a": "x", "b": "sin(x)", "steps": 3}),
        (model.reconstruct, {"data": TEXTS}),
        (model.reconstruction, {"texts": TEXTS, "constraint": None}),
        (model.refit_density, {"density": "gaussian", "codes": np.random.default_rng(0).normal(size=(40, 16))}),
        (model.transform, {"X": TEXTS}),
        (codec.encode, {"text": "x"}),
        (codec.encode_text, {"text": "x"}),
        (codec.encode_batch, {"texts": TEXTS, "prepared": True}),
        (codec.decode, {"tokens": tokens}),
        (codec.decode_batch, {"tokens": tokens[None]}),
        (codec.spell_batch, {"tokens": tokens[None]}),
        (codec.one_hot, {"tokens": tokens}),
        (codec_from_dict, {"data": codec.to_dict()}),
        (encode, {"source": TEXTS, "codec": codec, "jobs": 1, "fields": "line", "chunk": 3, "duplicates": "drop"}),
        (lambda **a: list(read_texts(**a)), {"source": TEXTS, "column": None, "fields": "line"}),
        (sample_texts, {"source": TEXTS, "n": 2, "seed": 0}),
        (data.split, {"fraction": 0.5, "seed": 0, "maximum": 2}),
        (data.batch, {"indices": [0, 1]}),
        (data.subset, {"indices": [0]}),
        (parse_spec, {"spec": "grammar"}),
        (read_grammar, {"source": "expressions"}),
        (MixtureDensity, {"latent": 4, "n_components": 2, "max_iter": 5}),
        (RECIPES["tiny"].replace, {"latent": 8, "epochs": 1, "seed": 0, "temperature": 1.0}),
        (DENSITIES["gaussian"](4).fit, {"z": np.random.default_rng(0).normal(size=(20, 4)), "seed": 0}),
        (grammar_rae.load, {"folder": "expressions"}),
        (TextModel.load, {"folder": bundled_model(MODEL)}),
    ]


@pytest.mark.parametrize("n", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_wrong_arguments(n: int) -> None:
    model = TextModel.load(bundled_model(MODEL))
    codec: Any = model.codec
    data = encode(TEXTS, codec, fields="line")
    ledger = Ledger("calls with wrong arguments")
    table = calls(model, codec, data)
    fitted = model.fitted_
    for seed in range(n):
        chance = random.Random(seed)
        function, right = table[seed % len(table)]
        wrong = dict(right)
        for name in chance.sample(sorted(right), min(len(right), chance.choice([1, 1, 2]))):
            value = chance.choice(NASTY)
            endless = name in ENDLESS and isinstance(value, int | float) and value > 10
            wrong[name] = -1 if endless else copy.copy(value) if isinstance(value, list | dict) else value

        def call(function: Callable[..., Any] = function, wrong: dict[str, Any] = wrong) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    function(**wrong)
                except IndexError as error:  # what sequences raise, and are documented to
                    raise InputError(str(error)) from error

        shown = {name: str(value)[:40] for name, value in wrong.items()}
        ledger.ask(f"seed {seed}: {getattr(function, '__qualname__', function)} {shown}", call)
        model.fitted_ = fitted
    ledger.tell()
    assert ledger.counts["refused"] > n // 5


def commands(folder: Path) -> list[list[str]]:
    texts, codes = folder / "texts.txt", folder / "z.npy"
    texts.write_text("\n".join(TEXTS))
    np.save(codes, np.zeros((2, 16), np.float32))
    model = ["-m", "expressions"]
    return [
        ["sample", *model, "-n", "2", "-o", str(folder / "out.csv"), "--seed", "0", "--temperature", "1"],
        ["encode", str(texts), *model, "-o", str(folder / "z2.npy"), "--unknown", "warn"],
        ["decode", str(codes), *model, "-o", str(folder / "out.smi"), "--top-p", "0.9"],
        ["reconstruct", str(texts), *model, "-o", str(folder / "out.tsv")],
        ["interpolate", *model, "x", "sin(x)", "--steps", "3"],
        ["check", str(texts), "--grammar", "expressions", "--form", "text", "--jobs", "1"],
        ["refit", "gaussian", "-m", str(folder / "no-model"), "--seed", "0", "--set", "x=1"],
        ["export", "-m", str(folder / "no-model"), "-o", str(folder / "copy")],
        ["list", "recipes", "--show", "tiny"],
        ["optimize", "--score", "expression_error", *model, "--budget", "0", "-o", str(folder / "search")],
        ["train", str(texts), "-o", str(folder / "run"), "--recipe", "none", "--epochs", "1", "--duplicates", "drop"],
        ["evaluate", *model, "--reference", str(texts), "-n", "5", "-o", str(folder / "evaluation")],
    ]


WORDS = ["", "x", "-1", "0", "nan", "1e999", "x/../y", "/dev/null/x", "a\x01b", "é", "--", "-o", "--seed", "'", " "]


@pytest.mark.parametrize("n", [FEW_COMMANDS, pytest.param(MANY_COMMANDS, marks=pytest.mark.slow)])
def test_wrong_commands(tmp_path: Path, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = commands(tmp_path)
    ledger = Ledger("wrong commands")
    for seed in range(n):
        chance = random.Random(seed)
        words = list(table[seed % len(table)])
        for _ in range(chance.choice([1, 1, 2])):
            at = chance.randrange(1, len(words) + 1)
            what = chance.randrange(3)
            if what == 0 and at < len(words):
                words[at] = chance.choice(WORDS)
            elif what == 1 and at < len(words):
                del words[at]
            else:
                words.insert(at, chance.choice(WORDS))

        def call(words: list[str] = words) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = CliRunner().invoke(app, words, prog_name="grammar-rae", input="")
            assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
            assert result.exit_code in (0, 2), result.output
            assert "Traceback" not in result.output
            if result.exit_code:
                assert result.stderr.strip(), "not a word"
                raise InputError("refused")

        ledger.ask(f"seed {seed}: {words}", call)
    ledger.tell()
    assert ledger.counts["refused"] > n // 5
    assert os.path.exists(os.devnull) and not os.path.isfile(os.devnull)
