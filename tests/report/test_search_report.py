"""The page of a search: what carries the score, what the score does not say, and when the best leave the domain."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from grammar_rae.errors import InputError
from grammar_rae.optimization import Search, read_objectives
from grammar_rae.report.evidence import columns_of, gather_evidence, remark_on
from grammar_rae.report.search import describe_rise, write_search_report

LINEAR = {"kind": "linear", "low": 0, "high": 10}
GOALS = {
    "merge": "geometric",
    "objectives": {"a": {"transform": LINEAR, "weight": 3}, "b": {"transform": LINEAR, "weight": 1}},
}
KNOWN = ["CCO", "CCCO", "CCCCO", "CCCN", "CCN"]


class Knowing:
    """A model that thinks molecules with a halogen odd."""

    codec = SimpleNamespace(canonical=lambda text: text)

    def encode(self, texts: list[str], errors: str = "raise") -> Any:
        return SimpleNamespace(codes=np.array([[len(text), 1.0] for text in texts]), rows=np.arange(len(texts)))

    def log_prob(self, texts: list[str], errors: str) -> Any:
        return np.array([-50.0 if "Cl" in text else -10.0 for text in texts])

    def typicality(self, texts: list[str], errors: str) -> Any:
        return np.array([0.0 if "Cl" in text else 0.5 for text in texts])


def test_the_rise_is_shared_out() -> None:
    profile = read_objectives(GOALS)
    first, best = (pd.DataFrame({"a": [a], "b": [b]}) for a, b in ((2.0, 5.0), (8.0, 10.0)))
    found = describe_rise(profile, first, best)
    rises = np.array([0.75 * np.log(0.8 / 0.2), 0.25 * np.log(1 / 0.5)])
    np.testing.assert_allclose(found["share"], rises / rises.sum())
    np.testing.assert_allclose(found[["before", "best"]], [[0.2, 0.8], [0.5, 1.0]])
    arithmetic = describe_rise(read_objectives({**GOALS, "merge": "arithmetic"}), first, best)
    np.testing.assert_allclose(arithmetic["share"], np.array([0.75 * 0.6, 0.25 * 0.5]) / (0.45 + 0.125))
    assert describe_rise(profile, best, first)["share"].isna().all()  # it fell
    front = describe_rise(read_objectives({"a": "minimize", "b": "maximize"}), first, best)
    assert front["share"].isna().all() and front["best"].tolist() == [8, 10]


def test_evidence_of_molecules() -> None:
    texts = ["CC(=O)Cl", "CCCCN"]
    found = gather_evidence(texts, KNOWN, Knowing())
    assert found[0].alerts and not found[1].alerts and found[1].nearest in KNOWN
    assert [one.typicality for one in found] == [0.0, 0.5] and found[0].likelihood == -50
    columns = columns_of(found)
    assert columns["alerts"][1] == 0 and columns["log-probability"] == [-50, -10]
    remarks = " ".join(remark_on(found, KNOWN))
    assert "1 of the 2 molecules shown leave the data's domain" in remarks and "raise structural alerts" in remarks
    assert gather_evidence(["("], KNOWN) == [] and columns_of([]) == {}
    assert not remark_on(gather_evidence(["CCCO"], KNOWN, Knowing()), KNOWN)
    far = gather_evidence(["c1ccc2ccccc2c1"], KNOWN)
    assert far[0].likelihood is None and any("less like any known" in one for one in remark_on(far, KNOWN))


class Silent(Knowing):
    """A model without likelihoods."""

    def log_prob(self, texts: list[str], errors: str) -> Any:
        raise InputError("no likelihood")

    typicality = log_prob


@pytest.mark.parametrize("model", [Knowing(), Silent()])
def test_a_page_says_what_carries_the_score(model: Any, tmp_path: Path) -> None:
    search = Search(model, GOALS, seed=0)
    search.add(pd.DataFrame({"smiles": KNOWN, "a": [1.0, 2, 3, 2, 1], "b": [5.0] * 5}))
    search.add(pd.DataFrame({"smiles": ["CC(=O)Cl", "CCCCCl"], "a": [9.0, 8.0], "b": [5.0, 6.0]}))
    page = tmp_path / "page.html"
    write_search_report(page, search, n=2, command="grammar-rae optimize -o 'a b'")
    text = page.read_text()
    assert "What carries the score" in text and "What the score does not say" in text
    assert "a carries the score" in text and "structural alerts" in text
    assert ("log-probability" in text) == (type(model) is Knowing)
    assert "Search for a and b" in text
    assert "This page again" in text and "grammar-rae optimize -o &#39;a b&#39;" in text


def test_a_page_of_a_front_and_of_nothing(tmp_path: Path) -> None:
    search = Search(Knowing(), {"a": "maximize", "b": "minimize"}, seed=0)
    write_search_report(tmp_path / "empty.html", search)
    assert "There is nothing to show" in (tmp_path / "empty.html").read_text()
    search.add(pd.DataFrame({"smiles": KNOWN, "a": range(5), "b": range(5)}))
    write_search_report(tmp_path / "page.html", search)
    assert "a Pareto front" in (tmp_path / "page.html").read_text()
