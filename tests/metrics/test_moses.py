"""Metrics of sets of molecules against RDKit, SciPy, sums by hand, and what MOSES publishes of its own."""

import csv
import gzip
import os
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit.Chem import MolFromSmiles
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.DataStructs import BulkTanimotoSimilarity
from scipy.spatial.distance import cosine as cosine_distance
from scipy.stats import norm, wasserstein_distance

from grammar_rae import chem
from grammar_rae.chem import filters as chem_filters
from grammar_rae.chem import traits
from grammar_rae.datasets import read_texts
from grammar_rae.errors import InputError, TextError, UnknownNameError
from grammar_rae.metrics import (
    MoleculeSet,
    choose,
    describe,
    fcd,
    filters,
    fragment_similarity,
    guacamol_scores,
    internal_diversity,
    kl_divergences,
    moments,
    novelty,
    property_distance,
    scaffold_similarity,
    snn,
    subtract_moments,
    unique_at,
    validity,
)
from grammar_rae.metrics import similarity as similarity_module
from grammar_rae.metrics.guacamol import (
    CONTINUOUS,
    DISCRETE,
    continuous_divergence,
    discrete_divergence,
    fcd_score,
    kl_score,
)
from grammar_rae.metrics.molecule_sets import PROPERTIES, part_of
from grammar_rae.metrics.moses import cosine
from grammar_rae.metrics.similarity import mean_powers, nearest_similarity
from grammar_rae.resources import bundled_file

# What the tests of molsets 0.3.1 take and expect.
GENERATED = [
    "CNC",
    "Oc1ccccc1-c1cccc2cnccc12",
    "CCCP",
    "Cc1noc(C)c1CN(C)C(=O)Nc1cc(F)cc(F)c1",
]
TEST = ["Oc1ccccc1-c1cccc2cnccc12", "COc1cccc(NC(=O)Cc2coc3ccc(OC)cc23)c1"]
INVALID = ["INVALID", "Cc1nc(NCc2ccccc2)no1-c1ccccc1"]


def molecules(n: int, start: int = 0) -> list[str]:
    return [text for _, text in islice(read_texts(bundled_file("data/moses_sample.smi.gz")), start, start + n)]


def packed(bits: np.ndarray) -> np.ndarray:
    return np.packbits(bits.astype(np.uint8), axis=1)


def tanimoto(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Similarities of rows of bits, one pair after the other."""
    found = np.ones((len(first), len(second)))
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            if (a | b).any():
                found[i, j] = (a & b).sum() / (a | b).sum()
    return found


class TestSimilarity:
    @given(st.integers(0, 2**32), st.integers(2, 12), st.integers(1, 12))
    def test_by_hand(self, seed: int, n: int, m: int) -> None:
        chance = np.random.default_rng(seed)
        first, second = (chance.random((rows, 16)) < chance.random() for rows in (n, m))
        first[0] = False  # a fingerprint without a bit
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(similarity_module, "_TILE", 5)
            to_others = nearest_similarity(packed(first), packed(second))
            to_own = nearest_similarity(packed(first))
            powers = mean_powers(packed(first), (1, 2))
        assert to_others == pytest.approx(tanimoto(first, second).max(axis=1))
        own = tanimoto(first, first)
        assert powers == pytest.approx(np.stack([own.mean(axis=1), (own**2).mean(axis=1)]))
        np.fill_diagonal(own, 0)
        assert to_own == pytest.approx(own.max(axis=1))

    def test_rdkit_agrees(self) -> None:
        ours, theirs = molecules(30), molecules(40, start=30)
        fingerprint = GetMorganGenerator(radius=2, fpSize=1024).GetFingerprint
        known = [fingerprint(MolFromSmiles(text)) for text in theirs]
        drawn = [fingerprint(MolFromSmiles(text)) for text in ours]
        assert snn(ours, theirs) == pytest.approx(np.mean([max(BulkTanimotoSimilarity(one, known)) for one in drawn]))
        square = np.array([BulkTanimotoSimilarity(one, drawn) for one in drawn])
        assert internal_diversity(ours) == pytest.approx(
            (1 - square.mean(), 1 - np.sqrt((square**2).mean(axis=1)).mean())
        )

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (np.zeros((2, 4), np.uint8), np.zeros((2, 5), np.uint8)),
            (np.zeros((2, 4), np.float32), np.zeros((2, 4), np.float32)),
            (np.zeros((0, 4), np.uint8), np.zeros((2, 4), np.uint8)),
            (np.zeros((1, 4), np.uint8), None),
        ],
    )
    def test_what_it_refuses(self, first: np.ndarray, second: np.ndarray | None) -> None:
        with pytest.raises(InputError, match="wrong type, shape or number"):
            nearest_similarity(first, second)


class TestMoses:
    def test_what_molsets_expects_of_its_own_example(self) -> None:
        ours, theirs = (describe(texts, [*PARTS_WITHOUT_CHEMNET]) for texts in (GENERATED, TEST))
        assert validity([*GENERATED, *INVALID]) == pytest.approx(2 / 3)
        assert snn(ours, theirs) == pytest.approx(0.3152585653588176)
        assert fragment_similarity(ours, theirs) == pytest.approx(0.3)
        assert scaffold_similarity(ours, theirs) == pytest.approx(0.5)
        assert internal_diversity(ours)[0] == pytest.approx(0.7189187309761661)
        # Its figure for SA is of the RDKit of 2020: with that of today, molsets scores each molecule as we do.
        expected = {"logp": 1.63229, "qed": 0.20370891752648637, "weight": 106.87}
        assert {name: property_distance(ours, theirs, name) for name in expected} == pytest.approx(expected)

    def test_its_fcd(self) -> None:
        pytest.importorskip("fcd_torch")
        assert fcd(GENERATED, TEST) == pytest.approx(52.58371754126664, rel=1e-4)

    @given(*[st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 1000), min_size=1)] * 2)
    def test_the_cosine(self, first: dict[str, int], second: dict[str, int]) -> None:
        vectors = [[counts.get(name, 0) for name in "abcdef"] for counts in (first, second)]
        assert cosine(Counter(first), Counter(second)) == pytest.approx(1 - cosine_distance(*vectors), abs=1e-9)

    def test_counts_that_overflow_int64(self) -> None:
        assert cosine(Counter({"a": 2**40, "b": 2**40}), Counter({"a": 2**40})) == pytest.approx(0.5**0.5)

    def test_no_scaffold(self) -> None:
        assert np.isnan(scaffold_similarity(["CCO", "c1ccccc1"], TEST))  # one ring is not enough
        assert fragment_similarity(["CCO"], ["CCO"]) == pytest.approx(1)

    def test_property_distances(self) -> None:
        ours, theirs = molecules(20), molecules(30, start=20)
        for name in PROPERTIES:
            columns = [[chem.DESCRIPTORS[name](text) for text in texts] for texts in (ours, theirs)]
            assert property_distance(ours, theirs, name) == pytest.approx(wasserstein_distance(*columns))
        assert property_distance(ours, ours, "qed") == 0
        with pytest.raises(UnknownNameError, match="weight"):
            property_distance(ours, theirs, "colour")

    def test_unique_at(self) -> None:
        assert unique_at(["C", "CC", "C", "CCC"], 3) == pytest.approx(2 / 3)
        assert unique_at(["C", "CC", "C", "CCC"], 2) == 1
        assert np.isnan(unique_at(["C"], 2))
        with pytest.raises(InputError):
            unique_at(["C"], 0)
        with pytest.raises(InputError, match="list of strings"):
            unique_at("CCC", 1)

    def test_novelty_is_of_different_molecules(self) -> None:
        assert novelty(["C", "C", "C", "CC"], ["C"]) == 0.5
        assert novelty(["C", "CC"], {"C", "CC", "CCC"}) == 0
        assert np.isnan(novelty([], ["C"]))

    def test_the_share_that_passes(self) -> None:
        assert filters(GENERATED) == 0.75  # CCCP has phosphorus


PARTS_WITHOUT_CHEMNET = ("fingerprints", "fragments", "scaffolds", "filters", *PROPERTIES)


class TestFilters:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("CCO", []),
            ("C1OC1CCl", ["MCF4", "MCF5"]),
            ("CC=O", ["MCF7"]),
            ("CSSC", ["MCF16"]),
            ("C[Si](C)C", ["the element Si"]),
            ("C[NH3+]", ["a charge"]),
            ("C1CCCCCCC1", ["a ring of more than 7 atoms"]),
            ("C1CCCCCC1", []),
            ("[2H]C", []),
            ("O=C1C=CC(=O)C=C1", ["PAINS quinone_A(370)"]),
            ("Nc1csc(S(=O)(=O)N=c2[nH]c3c(s2)CCC3)c1", []),  # of MOSES's training set; RDKit's own list refuses it
        ],
    )
    def test_reasons(self, text: str, expected: list[str]) -> None:
        assert chem.filter_matches(text) == expected
        assert filters([text]) == (not expected)

    def test_training_molecules_pass(self) -> None:
        assert filters(molecules(40)) == 1

    def test_the_list_is_whole(self) -> None:
        patterns = dict(chem_filters._patterns())
        assert list(patterns)[:22] == [f"MCF{i}" for i in range(1, 23)]
        assert len(patterns) == 22 + 480 and all(pattern is not None for pattern in patterns.values())


class TestParts:
    def test_fragments(self) -> None:
        found = chem.brics_fragments("CC(=O)Oc1ccccc1C(=O)NC1CC1")
        assert sorted(found) == sorted(
            ["[1*]C(C)=O", "[3*]O[3*]", "[16*]c1ccccc1[16*]", "[1*]C([6*])=O", "[5*]N[5*]", "[15*]C1CC1"]
        )
        assert chem.brics_fragments("CC") == ["CC"]

    @pytest.mark.parametrize(
        ("text", "least", "expected"),
        [
            ("CCc1ccc(CC2CC2C)cc1", 2, "c1ccc(CC2CC2)cc1"),
            ("CCc1ccccc1", 0, "c1ccccc1"),
            ("CCc1ccccc1", 2, None),
            ("CCO", 0, None),
            ("O=C1CCCN1c1ccccc1Cl", 2, "O=C1CCCN1c1ccccc1"),
        ],
    )
    def test_scaffolds(self, text: str, least: int, expected: str | None) -> None:
        assert chem.scaffold(text, least) == expected

    @pytest.mark.parametrize("bits", [1024, 4096])
    def test_fingerprints(self, bits: int) -> None:
        for text in molecules(5):
            expected = GetMorganGenerator(radius=2, fpSize=bits).GetFingerprintAsNumPy(MolFromSmiles(text))
            assert np.array_equal(np.unpackbits(chem.morgan(text, bits)), expected)

    @pytest.mark.parametrize("ask", [chem.morgan, chem.brics_fragments, chem.scaffold, chem.filter_matches])
    def test_no_molecule(self, ask: Any) -> None:
        with pytest.raises(TextError, match="C1CC"):
            ask("C1CC")


class TestDescribe:
    def test_a_molecule_that_is_none(self) -> None:
        rows = list(chem.compute_traits(["CCO", "C1CC", "CC"], ["weight", "canonical"]))
        assert rows == [(pytest.approx(46.07, abs=0.01), "CCO"), None, (pytest.approx(30.07, abs=0.01), "CC")]
        with pytest.raises(TextError, match="C1CC"):
            describe(["CCO", "C1CC"], ["weight"])

    def test_processes_give_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        texts = [*molecules(7), "C1CC"]
        alone = list(chem.compute_traits(texts, ["fragments", "logp"]))
        monkeypatch.setattr(traits, "_AT_ONCE", 3)
        assert list(chem.compute_traits(texts, ["fragments", "logp"], jobs=2)) == alone

    def test_columns_are_those_of_each_molecule(self) -> None:
        texts = molecules(6)
        found = describe(texts, [*PARTS_WITHOUT_CHEMNET, "long_fingerprints", "tpsa"])
        assert found.n == 6
        assert found.fingerprints is not None and found.long_fingerprints is not None
        assert found.fingerprints.shape == (6, 128) and found.long_fingerprints.shape == (6, 512)
        assert found.fragments == Counter(part for text in texts for part in chem.brics_fragments(text))
        assert found.scaffolds == Counter(filter(None, (chem.scaffold(text, 2) for text in texts)))
        assert set(found.values) == {*PROPERTIES, "tpsa"}
        for name in PROPERTIES:
            assert found.values[name].tolist() == [chem.DESCRIPTORS[name](text) for text in texts]

    def test_what_it_refuses(self) -> None:
        with pytest.raises(UnknownNameError, match="Did you mean 'fingerprints'"):
            describe(["C"], ["fingerprint"])
        with pytest.raises(UnknownNameError):
            describe(["C"], ["canonical"])
        with pytest.raises(InputError, match="no molecule"):
            describe([])
        with pytest.raises(InputError, match="list of strings"):
            describe("CCO")
        with pytest.raises(InputError, match="part 'fragments'"):
            part_of(describe(["C"], ["weight"]), "fragments")
        with pytest.raises(InputError, match="part 'qed'"):
            part_of(MoleculeSet(1), "qed")


class TestMomentsWithout:
    @given(st.integers(0, 2**32), st.integers(2, 6), st.integers(2, 6))
    def test_they_are_those_of_the_others(self, seed: int, n: int, m: int) -> None:
        rows = np.random.default_rng(seed).normal(size=(n + m, 3)) + 100
        found = subtract_moments(moments([rows]), moments([rows[:n]]))
        expected = moments([rows[n:]])
        assert found.n == m
        assert found.mean == pytest.approx(expected.mean)
        assert found.covariance == pytest.approx(expected.covariance, abs=1e-7)

    def test_nothing_left(self) -> None:
        every = moments([np.eye(3)])
        with pytest.raises(InputError):
            subtract_moments(every, moments([np.eye(3)[:2]]))


class TestGuacaMol:
    def test_choose(self) -> None:
        draws = ["C", "C1CC", "C", "[C@H](F)(Cl)Br", "[C@@H](F)(Cl)Br", "CC", "CCC"]
        found = choose(draws, 3)
        flat = chem.canonical("C(F)(Cl)Br")
        assert found.first == 2  # of C, C1CC and C
        assert found.valid == ["C", "C", "[C@H](F)(Cl)Br"]
        assert found.flat == ["C", "C", flat]
        assert found.different == ["C", flat]  # three molecules, two of them mirror images
        assert found.attempts == 5
        short = choose(["C1CC", "C1CC"], 2)
        assert short == (0, [], [], [], 2)
        assert choose(["C"] * 50, 2).attempts == 20  # ten for each
        with pytest.raises(InputError, match="too few draws"):
            choose(["C"], 2)
        with pytest.raises(InputError, match="n = 0"):
            choose(["C"], 0)

    def test_no_more_is_drawn_than_is_needed(self) -> None:
        asked = []

        def draws() -> Iterator[str]:
            for text in ["C", "C", "C1CC", "CC", "CCC", "CCCC", "CCCCC"]:
                asked.append(text)
                yield text

        assert choose(draws(), 2) == (2, ["C", "C"], ["C", "C"], ["C", "CC"], 4)
        assert len(asked) == 4

    def test_processes_choose_the_same(self, recwarn: pytest.WarningsRecorder) -> None:
        draws = [*["C1CC"] * 250, *molecules(500)]
        assert choose(draws, 300, jobs=2) == choose(draws, 300)  # which stops before the last part is read
        assert not recwarn.list

    def test_discrete_by_hand(self) -> None:
        training = np.array([0.0] * 5 + [10.0] * 5)
        draws = np.array([0.0] * 9 + [10.0] + [20.0] * 7)  # what is outside of the training set's range is left out
        expected = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
        assert discrete_divergence(training, draws) == pytest.approx(expected, abs=1e-6)
        assert discrete_divergence(training, training) == pytest.approx(0, abs=1e-9)
        assert np.isnan(discrete_divergence(training, np.array([20.0])))

    def test_continuous_of_two_gaussians(self) -> None:
        places = norm.ppf((np.arange(4000) + 0.5) / 4000)
        # (m^2 + s^2 - 1) / 2 - log s, of N(0, 1) to N(m, s) the other way round; the kernels widen both a little.
        expected = np.log(2) + (1 + 1) / 8 - 0.5
        assert continuous_divergence(places, 1 + 2 * places) == pytest.approx(expected, rel=0.05)
        assert continuous_divergence(places, places) == pytest.approx(0, abs=1e-9)
        assert np.isnan(continuous_divergence(places, np.ones(5)))

    def test_scores(self) -> None:
        assert fcd_score(0) == 1
        assert fcd_score(5) == pytest.approx(np.exp(-1))
        assert kl_score({"a": 0.0, "b": np.log(2), "c": np.nan}) == pytest.approx(0.5)
        assert np.isnan(kl_score({}))

    def test_the_same_molecules_have_no_divergence(self) -> None:
        texts = molecules(20)
        found = kl_divergences(texts, texts[::-1])
        assert list(found) == [*CONTINUOUS, *DISCRETE]
        assert all(value == pytest.approx(0, abs=1e-6) for value in found.values())
        other = kl_divergences(molecules(20, start=20), texts)
        assert 0 < kl_score(other) < 1
        with pytest.raises(InputError, match="too few molecules"):
            kl_divergences(texts[:2], texts)

    def test_five_scores(self) -> None:
        pytest.importorskip("fcd_torch")
        training = molecules(24)
        draws = [*training[:6], training[0], "C1CC", *molecules(6, start=30)]
        found = guacamol_scores(choose(draws, 10), 10, training, set(map(chem.canonical, training)).__contains__)
        assert (found.validity, found.uniqueness, found.novelty) == (0.9, 0.9, 0.4)
        assert found.training_copies == pytest.approx(0.7)
        assert found.attempts == 12  # ten different molecules: 6 known ones and 4 of the others
        assert found.fcd_score == pytest.approx(np.exp(-0.2 * found.fcd))
        assert found.fcd_floor == pytest.approx(fcd(training[10:20], training[:10]), abs=1e-6)
        assert found.kl_score == pytest.approx(kl_score(found.divergences))
        none = guacamol_scores(choose(["C1CC"] * 10, 10), 10, training, lambda text: False)
        assert (none.validity, none.uniqueness, none.novelty) == (0, 0, 0)
        assert np.isnan([none.fcd, none.fcd_score, none.kl_score, none.training_copies]).all()
        same = guacamol_scores(choose(draws, 10), 10, [training[0]] * 20, lambda text: False)
        assert same.divergences == {} and np.isnan(same.kl_score)  # one molecule has no distribution
        with pytest.raises(InputError, match="too few training"):
            guacamol_scores(choose(draws, 10), 10, training[:5], lambda text: False)


@pytest.mark.slow
@pytest.mark.skipif("GRAMMAR_RAE_MOSES" not in os.environ, reason="GRAMMAR_RAE_MOSES is the folder of MOSES's files")
def test_the_published_row_of_the_training_set() -> None:
    """2,000 training molecules in place of 30,000; Scaf and FCD depend on the number, and are not looked at."""
    home = Path(os.environ["GRAMMAR_RAE_MOSES"])
    columns = {}
    for name in ("train", "test", "test_scaffolds"):
        with gzip.open(home / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
            columns[name] = [row["SMILES"] for row in csv.DictReader(file)]
    chosen = np.random.default_rng(0).choice(len(columns["train"]), 2_000, replace=False)
    ours = describe([columns["train"][row] for row in chosen], ["fingerprints", "fragments", "filters"])
    for name, similarity, fragments in (("test", 0.6419, 1.0), ("test_scaffolds", 0.5859, 0.9986)):
        theirs = describe(columns[name], ["fingerprints", "fragments"], jobs=-1)
        assert snn(ours, theirs) == pytest.approx(similarity, abs=0.01)
        assert fragment_similarity(ours, theirs) == pytest.approx(fragments, abs=0.005)
    assert internal_diversity(ours) == pytest.approx((0.8567, 0.8508), abs=0.003)
    assert filters(ours) == 1
