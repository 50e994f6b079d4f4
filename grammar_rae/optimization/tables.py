"""The tables of a search: a batch that is asked for, and all that is known."""

from typing import Any

import numpy as np
import pandas as pd

from grammar_rae.optimization.fingerprints import nearest
from grammar_rae.optimization.ledger import Ledger
from grammar_rae.optimization.profile import Profile
from grammar_rae.optimization.telling import ID, REASON, SMILES


def show_batch(ledger: Ledger, profile: Profile, names: list[str]) -> pd.DataFrame:
    """Some molecules as :meth:`grammar_rae.optimization.Search.ask` gives them."""
    batch = [ledger.molecules[name] for name in names]
    known = [one.text for one in ledger.molecules.values() if any(one.measured.values())]
    near = nearest([one.text for one in batch], known)
    columns: dict[str, Any] = {ID: names, SMILES: [one.text for one in batch]}
    columns |= {"nearest": [text for text, _ in near], "similarity": [similarity for _, similarity in near]}
    for name, _ in profile.targets:
        pairs = [one.expected.get(name, (np.nan, np.nan)) for one in batch]
        columns[f"{name}_expected"] = [mean for mean, _ in pairs]
        columns[f"{name}_spread"] = [spread for _, spread in pairs]
    return pd.DataFrame(columns)


def show_history(ledger: Ledger, profile: Profile) -> pd.DataFrame:
    """All molecules as :meth:`grammar_rae.optimization.Search.history` gives them."""
    molecules = list(ledger.molecules.values())
    columns: dict[str, Any] = {
        ID: [one.id for one in molecules],
        SMILES: [one.text for one in molecules],
        "batch": [one.batch or 0 for one in molecules],
        "origin": [one.origin for one in molecules],
    }
    values = np.array([[one.value(name) for name in profile.names] for one in molecules]).reshape(
        -1, len(profile.objectives)
    )
    targets = {
        target.name: target.sign * column
        for target, column in zip(profile.targets, profile.values(values).T, strict=True)
    }
    for column, name in enumerate(profile.names):
        columns[name] = values[:, column]
        if name in targets:
            columns |= _expected(molecules, name)
            del targets[name]
    for name, found in targets.items():
        columns |= {name: found} | _expected(molecules, name)
    columns["measurements"] = [max(map(len, one.measured.values()), default=0) for one in molecules]
    columns[REASON] = ["; ".join(dict.fromkeys(one.failed.values())) for one in molecules]
    return pd.DataFrame(columns)


def _expected(molecules: list[Any], name: str) -> dict[str, Any]:
    pairs = [one.expected.get(name, (np.nan, np.nan)) for one in molecules]
    return {f"{name}_expected": [mean for mean, _ in pairs], f"{name}_spread": [spread for _, spread in pairs]}
