"""Between texts and latent codes: encode, decode, reconstruct and interpolate."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from model.texts.text_models import EXACT, FEW, LATENT, TEXTS, quick
from models import unusable_codes

from grammar_rae import chem
from grammar_rae.codecs import Codec
from grammar_rae.errors import (
    InputError,
    TextError,
    UnknownNameError,
)
from grammar_rae.model import TextModel
from grammar_rae.model.results import is_same


def test_encode(model: TextModel) -> None:
    z = model.encode(TEXTS[:20])
    assert (z.shape, z.dtype) == ((20, LATENT), np.float32)
    assert np.isfinite(z).all()
    assert len(np.unique(z, axis=0)) == 20
    for source in (tuple(TEXTS[:20]), np.array(TEXTS[:20]), pd.Series(TEXTS[:20]), (text for text in TEXTS[:20])):
        assert np.array_equal(model.encode(source), z)
    for text, row in zip(TEXTS[:20], z, strict=True):
        assert np.allclose(model.encode([text])[0], row, atol=1e-5)
        assert np.array_equal(model.encode(text), model.encode([text]))


def test_encode_looks_at_the_molecule_not_at_its_spelling(model: TextModel) -> None:
    assert np.array_equal(model.encode(["OCC"]), model.encode(["CCO"]))


def test_encode_nothing(model: TextModel) -> None:
    assert model.encode([]).shape == (0, LATENT)


def test_large_inputs_go_in_parts(learned: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    z, texts = learned.encode(TEXTS[:20]), learned.decode(learned.encode(TEXTS[:20]))
    monkeypatch.setattr(TextModel, "batch_rows", 7)
    assert len(set(texts)) > 3
    assert np.allclose(learned.encode(TEXTS[:20]), z, atol=1e-5)
    assert learned.decode(z) == texts


@pytest.mark.parametrize("bad", ["no molecule", "", "C" * 400, "C.C", "[Xx]"])
def test_encode_names_the_text_that_is_refused(model: TextModel, bad: str) -> None:
    with pytest.raises(TextError, match="text 2 of 3"):
        model.encode(["CCO", bad, "also no molecule"])


@pytest.mark.parametrize("texts", [5, None, {"CCO": 1}, [None], [1.5], [b"CCO"], np.array([["CCO"]])])
def test_encode_refuses_what_is_no_list_of_texts(model: TextModel, texts: Any) -> None:
    with pytest.raises(InputError, match=r"not a (list of )?text"):
        model.encode(texts)


def test_decode(learned: TextModel) -> None:
    z = learned.encode(TEXTS[:10])
    texts = learned.decode(z, canonical=False)
    assert len(texts) == 10
    assert all(learned.codec.encode_text(text).size for text in texts)
    assert learned.decode(z, canonical=False) == texts
    spelled = learned.decode(z)
    assert spelled == [chem.canonical_or_none(text) or text for text in texts]
    assert learned.decode(z[0]) == spelled[:1]


@pytest.mark.parametrize(
    "convert",
    [
        lambda z: torch.from_numpy(z),
        lambda z: torch.from_numpy(z).requires_grad_(),
        lambda z: z.astype(np.float64),
        lambda z: z.tolist(),
        lambda z: pd.DataFrame(z),
    ],
)
def test_decode_takes_numbers_of_any_kind(learned: TextModel, convert: Callable[[Any], Any]) -> None:
    z = learned.encode(TEXTS[:4])
    assert learned.decode(convert(z)) == learned.decode(z)


def test_decode_leaves_its_input_alone(model: TextModel) -> None:
    z = model.encode(TEXTS[:4])
    z.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(model.decode(z)) == 4


def test_decode_nothing(model: TextModel) -> None:
    assert model.decode(np.zeros((0, LATENT))) == []


def test_decode_with_a_temperature_is_decided_by_the_seed(model: TextModel) -> None:
    z = np.zeros((20, LATENT))
    drawn = model.decode(z, temperature=1.0, seed=1)
    assert len(set(drawn)) > 10
    assert model.decode(z, temperature=1.0, seed=1) == drawn
    assert model.decode(z, temperature=1.0, seed=2) != drawn
    assert model.decode(z, temperature=1.0) != model.decode(z, temperature=1.0)
    assert len(set(model.decode(z, seed=1))) == 1


@pytest.mark.parametrize("z", unusable_codes(LATENT))
def test_decode_refuses_what_is_no_code(model: TextModel, z: Any) -> None:
    with pytest.raises(InputError, match="latent codes"):
        model.decode(z)


@pytest.mark.parametrize("temperature", [-1, -1e-9, math.nan, math.inf, "1"])
def test_unusable_temperature(model: TextModel, temperature: Any) -> None:
    with pytest.raises(InputError, match="temperature"):
        model.decode(np.zeros((1, LATENT)), temperature=temperature)
    with pytest.raises(InputError, match="temperature"):
        model.sample(1, temperature=temperature)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", True])
def test_unusable_seed(model: TextModel, seed: Any) -> None:
    with pytest.raises(InputError, match="seed"):
        model.sample(1, seed=seed)


@pytest.mark.parametrize("top_p", [0, -1, 1.5, math.nan, "1"])
def test_unusable_top_p(model: TextModel, top_p: Any) -> None:
    with pytest.raises(InputError, match="top_p"):
        model.decode(np.zeros((1, LATENT)), temperature=1, top_p=top_p)
    with pytest.raises(InputError, match="top_p"):
        model.sample(1, top_p=top_p)


@pytest.mark.parametrize("constraint", ["gramar", "", "chemistry; gramar", 3])
def test_unknown_constraint(model: TextModel, constraint: Any) -> None:
    with pytest.raises(InputError):
        model.sample(1, constraint=constraint)
    with pytest.raises(InputError):
        model.decode(np.zeros((1, LATENT)), constraint=constraint)
    with pytest.raises(InputError):
        model.reconstruct(["CCO"], constraint=constraint)
    with pytest.raises(UnknownNameError, match=r"expected one of.*grammar"):
        model.interpolate("CCO", "CCN", constraint="gramar")


def test_decode_with_a_nucleus(model: TextModel) -> None:
    z = np.zeros((40, LATENT))
    narrow, wide = (model.decode(z, temperature=1.0, top_p=top_p, seed=1) for top_p in (0.2, 0.9))
    assert len(set(narrow)) < len(set(wide))
    assert model.decode(z, temperature=1.0, top_p=1e-9, seed=1) == model.decode(z)
    assert model.decode(z, temperature=1.0, top_p=0.9, seed=1) == wide
    assert model.decode(z, temperature=1.0, top_p=0.9, seed=2) != wide


def test_decode_with_beams(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    z = model.encode(TEXTS[:20])
    assert model.decode(z, beam=1) == model.decode(z)
    found = model.decode(z, beam=5)
    assert len(found) == 20 and found != model.decode(z)
    monkeypatch.setattr(TextModel, "batch_rows", 7)  # so that no batch has place for two rows
    assert model.decode(z, beam=5) == found
    for options in ({"temperature": 1.0}, {"top_p": 0.5}):
        with pytest.raises(InputError, match="draws nothing"):
            model.decode(z, beam=5, **options)
    for beam in (0, -1, 1.5, True, "3"):
        with pytest.raises(InputError, match="number of beams"):
            model.decode(z, beam=beam)  # type: ignore[arg-type]


def test_without_a_constraint_what_is_no_text_is_empty(model: TextModel) -> None:
    # The hotter, the less often a derivation happens to come out.
    result = model.sample(300, valid_only=False, seed=0, temperature=3.0, constraint="none")
    broken = [text == "" for text in result.texts]
    assert sum(broken) > 0 and result.constraint == "none"
    assert not result.valid[broken].any()
    assert result.n_valid == result.valid.sum() < 300
    assert all(model.codec.encode_text(text).size for text in result.texts if text)
    z = result.latent[:50]
    texts = model.decode(z, temperature=3.0, constraint="none", seed=1)
    assert "" in texts and len(texts) == 50
    assert "" not in model.decode(z, temperature=3.0, constraint="grammar", seed=1)


def test_the_empty_text_is_no_expression_unless_it_is_one() -> None:
    """Texts as they stand are all valid; what was no derivation is not."""
    model = TextModel("expressions", epochs=1, overrides={"batch_size": 64}).fit(["x", "x+1", "sin(x*2)"] * 10)
    result = model.sample(100, valid_only=False, seed=0, temperature=9.0, constraint="none")
    assert [text != "" for text in result.texts] == result.valid.tolist()
    assert 0 < result.n_valid < 100
    with pytest.warns(UserWarning, match="texts are valid after 50 attempts"):
        kept = model.sample(50, seed=0, temperature=9.0, constraint="none", max_attempts=50)
    assert "" not in kept.texts


def test_reconstruct(learned: TextModel) -> None:
    texts = learned.reconstruct(TEXTS[:10])
    assert texts == learned.decode(learned.encode(TEXTS[:10]))
    assert learned.reconstruct([]) == []
    with pytest.raises(TextError):
        learned.reconstruct(["no molecule"])


# --- texts that the codec rejects ------------------------------------------------------------------------------------

MIXED = ["CCO", "no molecule", "c1ccccc1O", "", "C" * 400, "CCN"]


def test_rejected_texts_are_skipped(model: TextModel) -> None:
    encoded = model.encode(MIXED, errors="skip")
    assert encoded.rows.tolist() == [0, 2, 5] and len(encoded) == 3
    assert np.allclose(encoded.codes, model.encode([MIXED[row] for row in encoded.rows]), atol=1e-5)
    assert list(encoded.rejected) == [1, 3, 4] and "too long" in encoded.rejected[4]
    assert all(isinstance(reason, str) and reason for reason in encoded.rejected.values())
    everything, nothing = model.encode(TEXTS[:9], errors="skip"), model.encode(["?", ""], errors="skip")
    assert np.array_equal(everything.codes, model.encode(TEXTS[:9])) and not everything.rejected
    assert (nothing.codes.shape, nothing.rows.shape, len(nothing.rejected)) == ((0, LATENT), (0,), 2)


def test_rejected_texts_are_rows_of_nan(model: TextModel) -> None:
    codes, encoded = model.encode(MIXED, errors="nan"), model.encode(MIXED, errors="skip")
    assert (codes.shape, codes.dtype) == ((len(MIXED), LATENT), np.float32)
    assert np.isnan(codes).all(axis=1).tolist() == [row in encoded.rejected for row in range(len(MIXED))]
    assert np.array_equal(codes[encoded.rows], encoded.codes) and np.array_equal(encoded.fill(), codes, equal_nan=True)


@pytest.mark.parametrize("errors", ["ignore", None, True])
def test_unknown_errors(model: TextModel, errors: Any) -> None:
    with pytest.raises(UnknownNameError, match="nan, raise, skip"):
        model.encode(["CCO"], errors=errors)


def test_decode_batch_keeps_validity(learned: TextModel) -> None:
    z = 3 * np.random.default_rng(0).normal(size=(60, LATENT)).astype(np.float32)
    options: dict[str, Any] = {"temperature": 2.0, "seed": 1, "constraint": "none"}
    batch = learned.decode_batch(z, **options)
    assert batch.texts == learned.decode(z, **options) and len(batch) == 60
    assert batch.valid.tolist() == [text != "" and chem.is_valid(text) for text in batch.texts]
    assert batch.valid_texts == [text for text in batch.texts if text and chem.is_valid(text)]
    assert batch.validity == len(batch.valid_texts) / 60
    assert learned.decode_batch(z[:0]).valid.shape == (0,)


def test_reconstruction_has_one_denominator(learned: TextModel) -> None:
    texts = [*TEXTS[:12], "no molecule", "C" * 400]
    found = learned.reconstruction(texts)
    back = learned.reconstruct(TEXTS[:12])
    exact = [one == chem.canonical(other) for one, other in zip(back, TEXTS[:12], strict=True)]
    assert found.texts == [*back, "", ""] and found.exact.tolist() == [*exact, False, False]
    assert found.share == sum(exact) / 14 and found.refused == 2 and list(found.rejected) == [12, 13]
    assert str(found) == f"{found.share:.1%} ({sum(exact)} of 14; the codec rejects 2)"
    assert learned.reconstruction(["OCC"]).exact.tolist() == learned.reconstruction(["CCO"]).exact.tolist()
    salt = learned.reconstruction(["OCC.Cl", "CCO"], fragments="largest")
    assert salt.exact[0] == salt.exact[1]
    assert list(salt.changed) == [0]
    assert list(learned.reconstruction(["OCC.Cl"]).errors) == [0]
    assert math.isnan(learned.reconstruction([]).share)


def test_interpolate(learned: TextModel) -> None:
    path = learned.interpolate(TEXTS[0], TEXTS[1])
    assert len(path) == 9
    assert len(set(path)) > 1
    assert [path[0], path[-1]] == learned.reconstruct(TEXTS[:2])
    ends = learned.encode(TEXTS[:2])
    assert learned.interpolate(TEXTS[0], TEXTS[1], steps=3)[1:2] == learned.decode(ends.mean(axis=0))
    assert len(learned.interpolate("CCO", "CCN", steps=2)) == 2


def test_the_ends_of_an_interpolation_may_be_salts(learned: TextModel) -> None:
    plain = learned.interpolate(TEXTS[0], TEXTS[1], steps=3)
    assert learned.interpolate(f"{TEXTS[0]}.Cl", TEXTS[1], steps=3, fragments="largest") == plain
    with pytest.raises(TextError):
        learned.interpolate(f"{TEXTS[0]}.Cl", TEXTS[1], steps=3)


def test_interpolation_is_a_straight_line(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = model.encode(TEXTS[:2])
    monkeypatch.setattr(TextModel, "decode", lambda self, z, **options: z)
    line: Any = model.interpolate(TEXTS[0], TEXTS[1], steps=5)
    assert np.allclose(line, [a + share * (b - a) for share in (0, 0.25, 0.5, 0.75, 1)], atol=1e-5)


@pytest.mark.parametrize("steps", [1, 0, -3, 2.5, True, "3"])
def test_unusable_steps(model: TextModel, steps: Any) -> None:
    with pytest.raises(InputError, match="two ends"):
        model.interpolate("CCO", "CCN", steps)


def test_a_deterministic_encoder_has_no_noise(model: TextModel) -> None:
    assert np.array_equal(model.encode(TEXTS[:9], noise=True, seed=1), model.encode(TEXTS[:9]))


def test_a_variational_encoder_draws_its_codes_by_the_seed() -> None:
    model = quick(objective="vae", objective_options={"samples": 2}).fit(FEW)
    texts = TEXTS[:6]
    one, same, other = (model.encode(texts, noise=True, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.allclose(one, other)
    many = np.stack([model.encode(texts, noise=True, seed=seed) for seed in range(300)])
    assert np.allclose(many.mean(0), model.encode(texts), atol=5 * many.std(0).max() / 300**0.5)


def test_the_codec_of_a_model(model: TextModel) -> None:
    codec: Codec = model.codec
    codes = codec.encode("c1ccccc1O")
    assert codes.dtype == np.int32
    assert chem.canonical(codec.decode(codes)) == "Oc1ccccc1"
    assert codec.one_hot(codes).shape == (len(codes), codec.rules.size)


def test_texts_whose_canonical_form_is_not_stable_are_compared_once_more():
    """A codec whose spelling of "a" is "b", of "b" "c", and of "c" itself, as RDKit's of a few cages."""

    class Unstable:
        def canonical(self, text):
            return {"a": "b", "b": "c", "c": "c", "d": "d"}.get(text)

    assert is_same("c", "a", Unstable()) and is_same("b", "a", Unstable()) and is_same("c", "c", Unstable())
    assert not is_same("d", "a", Unstable()) and not is_same("x", "a", Unstable()) and not is_same("x", "x", Unstable())


def test_atoms_that_chemistry_cannot_write_are_told():
    texts = ["C*", "CC*", "CCC*", "CCO"] * 5
    model = TextModel("tiny", epochs=1, overrides=EXACT).fit([*texts, *("C" * n for n in range(1, 15))])
    with pytest.warns(UserWarning, match=r"trained on \*, of which the constraint 'chemistry' writes none"):
        model.sample(2, constraint="chemistry", seed=0)
