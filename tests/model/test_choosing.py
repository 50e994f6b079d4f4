"""Draws with and without substructures, a few that differ, frames in and out, and codes as features."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

import grammar_rae
from grammar_rae import MoleculeVectorizer
from grammar_rae.chem import morgan, pick_diverse
from grammar_rae.chem.changes import has_pattern
from grammar_rae.chem.substructures import Substructures
from grammar_rae.errors import DataError, InputError, TextError, UnknownNameError
from grammar_rae.model.vectorizer import BITS_SCALE

TEXTS = ["CCO", "CCCO", "CCCCO", "c1ccccc1", "Cc1ccccc1", "C1CCNCC1", "CC(=O)N"]


@pytest.fixture(scope="module")
def model():
    return grammar_rae.load("molecules")


def distance(one: str, other: str) -> float:
    a, b = (np.unpackbits(morgan(text, 2048)).astype(bool) for text in (one, other))
    return 1 - (a & b).sum() / (a | b).sum()


class TestSubstructures:
    def test_all_wanted_and_none_unwanted(self):
        patterns = Substructures(["C(=O)N", "c1ccccc1"], "[Cl,Br]")
        assert [patterns.has(text) for text in ("NC(=O)c1ccccc1", "NC(=O)c1ccccc1Cl", "CC(=O)N")] == [
            True,
            False,
            False,
        ]
        assert not Substructures() and Substructures().has("CCO")
        with pytest.raises(TextError):
            patterns.has("CC(")

    @pytest.mark.parametrize("odd", ["c1cc", "", ["C", 3], 5])
    def test_what_is_no_pattern(self, model, odd):
        with pytest.raises(InputError, match="SMARTS"):
            Substructures(unwanted=[odd] if odd == "" else odd)

    def test_draws(self, model):
        found = model.sample(20, wanted="C(=O)N", unwanted=["[#9]", "Cl"], seed=0)
        assert len(found) == 20 and 0 < found.hit_rate < 1
        assert found.n_hits <= found.n_valid <= found.attempts
        for text in found.texts:
            assert has_pattern(text, "C(=O)N") and not has_pattern(text, "[#9]") and not has_pattern(text, "Cl")
        assert model.sample(4, seed=0, where="weight > 0", wanted="C").wanted == ("C",)

    def test_what_is_hardly_drawn_is_bounded_and_told(self, model):
        with pytest.warns(UserWarning, match="only 0 of 3 texts have what was asked for after 40 attempts"):
            found = model.sample(3, wanted="[Pt]", max_attempts=40, seed=0)
        assert found.attempts == 40 and found.hit_rate == 0
        with pytest.raises(InputError, match="reject texts"):
            model.sample(3, False, wanted="C")
        with pytest.raises(InputError, match="patterns of molecules"):
            grammar_rae.load("expressions").sample(3, wanted="C")


class TestDiverse:
    def test_each_pick_is_the_farthest_from_those_before(self):
        picked = pick_diverse(TEXTS, 5, seed=3)
        assert len(set(picked)) == 5
        for place in range(1, 5):
            before = picked[:place]
            nearest = {
                index: min(distance(TEXTS[index], TEXTS[chosen]) for chosen in before)
                for index in range(len(TEXTS))
                if index not in before
            }
            assert nearest[picked[place]] == pytest.approx(max(nearest.values()))
        assert pick_diverse(TEXTS, 99) == list(range(len(TEXTS)))

    def test_some_of_the_draws_with_their_codes(self, model):
        every, few = model.sample(30, seed=1), model.sample(30, seed=1, diverse=5)
        assert len(few) == len(set(few.texts)) == 5 and few.latent.shape == (5, every.latent.shape[1])
        assert (few.attempts, few.n_valid) == (every.attempts, every.n_valid)
        for text, code in zip(few.texts, few.latent, strict=True):
            np.testing.assert_array_equal(code, every.latent[every.texts.index(text)])

    @pytest.mark.parametrize("odd", [0, 31, True, 2.0, "5"])
    def test_numbers_that_cannot_be_picked(self, model, odd):
        with pytest.raises(InputError, match="diverse"):
            model.sample(30, diverse=odd)


class TestFrames:
    FRAME = pd.DataFrame({"z0": [1, 2, 3], "Smiles": ["CCO", None, "CC(=O)[O-].[Na+]"]}, index=["a", "b", "c"])

    def test_codes_of_a_frame_are_a_frame(self, model):
        found = model.encode(self.FRAME, errors="nan", fragments="largest", unknown="ignore")
        assert list(found.columns[:4]) == ["z0_in", "Smiles", "changed", "z0"] and list(found.index) == ["a", "b", "c"]
        assert found["changed"].fillna("").tolist() == ["", "", "smaller parts left out"]
        codes = found.drop(columns=["z0_in", "Smiles", "changed"]).to_numpy()
        assert np.isfinite(codes).all(axis=1).tolist() == [True, False, True]
        np.testing.assert_allclose(codes[[0]], model.encode(["CCO"]), rtol=1e-4, atol=1e-5)
        assert list(model.encode(self.FRAME, errors="skip", unknown="ignore").index) == ["a"]
        with pytest.raises(InputError, match="row 2 of the frame holds no text"):
            model.encode(self.FRAME)
        with pytest.raises(TextError, match="separated by"):
            model.encode(self.FRAME.dropna())
        with pytest.raises(DataError, match="cannot tell which column"):
            model.encode(pd.DataFrame({"a": ["C"], "b": ["C"]}))

    def test_reconstructions_and_analogues_of_a_frame_are_frames(self, model):
        found = model.reconstruct(self.FRAME)
        assert list(found.columns) == ["z0", "Smiles", "reconstruction", "exact", "changed"]
        assert found["reconstruction"].fillna("").tolist() == [*model.reconstruct(["CCO"]), "", ""]
        leads = pd.DataFrame({"pIC50": [5.0], "smiles": ["CC(=O)Nc1ccc(O)cc1"], "cas": ["103-90-2"]})
        found = model.analogues(leads, 3, 0.5, seed=0, changes=False)
        assert list(found.columns[:5]) == ["cas", "lead", "smiles", "similarity", "pIC50"] and len(found) == 3
        assert set(found["cas"]) == {"103-90-2"} and found.attrs["report"]

    def test_frames_of_polars(self, model):
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame({"id": [7, 8], "smiles": ["CCO", "CCN"], "line": ["x", None]})
        found = model.encode(frame)
        assert isinstance(found, polars.DataFrame) and found["line"].to_list() == ["x", None]
        assert found.columns[:5] == ["id", "smiles", "line", "changed", "z0"] and found["id"].to_list() == [7, 8]
        assert model.reconstruct(frame)["reconstruction"].to_list() == model.reconstruct(["CCO", "CCN"])

    def test_exact_means_what_was_read(self, model):
        texts = ["CCO", "[CH3:1]CO", "CCO |^1:0|"]
        found = model.reconstruction(texts)
        assert len(set(found.exact.tolist())) == 1
        assert found.changed == {1: "atom maps left out", 2: "extension of a CXSMILES left out"}


class TestVectorizer:
    def test_fit_trains_nothing_and_rows_without_a_code_are_nan(self, model):
        vectorizer = MoleculeVectorizer(model, unknown="ignore")
        before = {name: value.clone() for name, value in model.autoencoder_.state_dict().items()}
        found = vectorizer.fit_transform(["CCO", "no", None, "c1ccccc1"])
        assert np.isnan(found).all(axis=1).tolist() == [False, True, True, False]
        np.testing.assert_allclose(found[[0, 3]], model.encode(["CCO", "c1ccccc1"]), rtol=1e-4, atol=1e-5)
        assert all(before[name].equal(value) for name, value in model.autoencoder_.state_dict().items())
        assert vectorizer.transform([]).shape == (0, vectorizer.n_codes_)

    def test_names_containers_and_clones(self, model):
        vectorizer = clone(MoleculeVectorizer(model)).set_output(transform="pandas")
        assert vectorizer.model is model
        found = vectorizer.fit_transform(pd.DataFrame({"smiles": ["CCO", "CCN"]}, index=[5, 6]))
        assert (
            list(found.columns) == vectorizer.get_feature_names_out().tolist() == [f"z{i}" for i in range(len(found.T))]
        )
        assert list(found.index) == [5, 6]
        pipeline = make_pipeline(MoleculeVectorizer(model), SimpleImputer(), Ridge())
        assert pipeline.fit(TEXTS, range(len(TEXTS))).predict(["CCO", "not one"]).shape == (2,)

    def test_what_it_cannot_use(self):
        with pytest.raises(UnknownNameError):
            MoleculeVectorizer(unknown="maybe").fit()
        with pytest.raises(InputError, match="models of texts"):
            MoleculeVectorizer(3).fit()

    def test_a_fingerprint_that_is_read_from_the_code(self, model):
        vectorizer = clone(MoleculeVectorizer(model, fingerprint=True))
        found = vectorizer.fit_transform(["CCO", "no", "c1ccccc1"])
        n = model.recipe_.latent
        np.testing.assert_allclose(found[[0, 2], :n], model.encode(["CCO", "c1ccccc1"]), rtol=1e-4, atol=1e-5)
        bits = found[[0, 2], n:] / BITS_SCALE
        assert np.isnan(found[1]).all() and bits.shape[1] == vectorizer.n_bits_ == 512
        true = np.stack([np.unpackbits(morgan(text, 512)) for text in ("CCO", "c1ccccc1")])
        assert (bits.min() >= 0) and (bits.max() <= 1) and bits[true == 1].mean() > 0.5 > 0.1 > bits[true == 0].mean()
        assert vectorizer.get_feature_names_out()[[0, n - 1, n, -1]].tolist() == ["z0", f"z{n - 1}", "bit0", "bit511"]
        with pytest.raises(InputError, match="no fingerprint"):
            MoleculeVectorizer("moses", fingerprint=True).fit()
