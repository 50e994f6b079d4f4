"""The baselines of the goals: children of graphs that are molecules, records that go on where they were stopped."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import baselines
from benchmarks.baselines import BASELINES, CALLS
from benchmarks.graph_ga import EDITS, MOST_ATOMS, breed
from grammar_rae import chem
from grammar_rae.optimization import Search
from grammar_rae.scores import get_score

PARENTS = [
    "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1",
    "O=C(NCc1ccncc1)C1CCN(C(=O)c2ccco2)CC1",
    "C[C@H](O)[C@@H](N)C(=O)O",
    "c1ccc2[nH]ccc2c1",
    "C[N+](C)(C)CC([O-])=O",
]


def test_children_are_molecules_and_pieces_of_both() -> None:
    found = breed(PARENTS, np.ones(5), 60, [0])
    texts = [text for text, _ in found]
    assert len(set(texts)) == 60 and not set(texts) & set(PARENTS)
    assert found == breed(PARENTS, np.ones(5), 60, [0]) != breed(PARENTS, np.ones(5), 60, [1])
    for text in texts:
        assert chem.canonical_or_none(text) == text and "." not in text
        assert 2 <= chem.heavy_atoms(text) <= MOST_ATOMS
    assert {origin for _, origin in found} == {"crossing", "edit"}


def test_parents_are_chosen_by_their_values() -> None:
    fluorinated = ["FC(F)(F)CCCO", "FC(F)CCCCN", "CCCCO", "CCCCCN"]
    found = breed(fluorinated, np.array([1.0, 1.0, 0.0, 0.0]), 15, [0])
    assert found and sum("F" in text or "f" in text for text, _ in found) > len(found) / 2


def test_a_lone_atom_has_no_children_by_crossing() -> None:
    assert all(origin == "edit" for _, origin in breed(["C"], np.ones(1), 2, [0]))


def test_each_edit_makes_molecules(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import graph_ga

    monkeypatch.setattr(graph_ga, "MUTATED", 1.0)
    for edit in EDITS:
        monkeypatch.setattr(graph_ga, "EDITS", (edit,))
        found = breed(PARENTS[:2], np.ones(2), 3, [0])
        assert len(found) == 3 and all(origin == "edit" for _, origin in found), edit


class Drawer:
    """A model that draws some ethers and amines, the same by the same seed."""

    codec = SimpleNamespace(canonical=chem.canonical_or_none)

    def encode(self, texts: list[str], errors: str = "raise") -> Any:
        codes = np.array([[len(text), text.find("N")] for text in texts], np.float32).reshape(-1, 2)
        return SimpleNamespace(codes=codes, rows=np.arange(len(texts)))

    def sample(self, n: int, seed: int = 0, constraint: Any = None) -> Any:
        rng = np.random.default_rng(seed)
        return SimpleNamespace(
            texts=[f"{'C' * rng.integers(1, 12)}{rng.choice(['O', 'N'])}C{'C' * rng.integers(0, 5)}" for _ in range(n)]
        )


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_goes_on_where_it_was_stopped(name: str, tmp_path: Path) -> None:
    score = get_score("pmo:isomers_c7h8n2o2").function
    options: dict[str, Any] = {"calls": 40, "initial": 16, "batch": lambda known: 8, "seed": 3, "constraint": None}
    whole = list(baselines.run(name, Drawer(), score, tmp_path / "whole", **options))[-1]
    assert (
        len(whole) == 40
        and whole["smiles"].is_unique
        and whole["batch"].tolist() == [1] * 16 + [number for number in (2, 3, 4) for _ in range(8)]
    )
    np.testing.assert_allclose(whole["value"], [score(text) for text in whole["smiles"]])
    assert whole["origin"].head(16).eq("draws").all() and whole["expected"].head(16).isna().all()
    same = Search(Drawer(), {"other": "maximize"}, n_initial=16, seed=3).ask(16)
    assert whole["smiles"].head(16).tolist() == same["smiles"].tolist()
    turns = baselines.run(name, Drawer(), score, tmp_path / "cut", **options)
    for _ in range(3):
        next(turns)
    turns.close()
    with (tmp_path / "cut" / CALLS).open("ab") as file:
        file.write(b'{"calls": [["CC')
    again = list(baselines.run(name, Drawer(), score, tmp_path / "cut", **options))
    assert len(again[0]) == 24 and again[-1].equals(whole)

    def picky(text: str) -> float:
        if "N" in text:
            raise ValueError("no nitrogen")
        return float(score(text))

    refused = list(baselines.run(name, Drawer(), picky, tmp_path / "picky", **options))[-1]
    assert refused["value"].isna().equals(refused["smiles"].str.contains("N")) and len(refused) == 40
    if name == "gp_bo":
        assert whole["expected"].tail(24).notna().all()
