"""The tables of a search: a batch that is asked for, and all that is known."""

from typing import Any

import numpy as np
import pandas as pd

from grammar_rae.optimization.fingerprints import nearest
from grammar_rae.optimization.ledger import Ledger
from grammar_rae.optimization.telling import ID, REASON, SMILES


def show_batch(ledger: Ledger, names: list[str]) -> pd.DataFrame:
    """Some molecules as :meth:`grammar_rae.optimization.Search.ask` gives them."""
    batch = [ledger.molecules[name] for name in names]
    objectives = list(ledger.settings["objectives"])
    known = [one.text for one in ledger.molecules.values() if any(one.measured.values())]
    near = nearest([one.text for one in batch], known)
    columns: dict[str, Any] = {ID: names, SMILES: [one.text for one in batch]}
    columns |= {"nearest": [text for text, _ in near], "similarity": [similarity for _, similarity in near]}
    for name in objectives:
        pairs = [one.expected.get(name, (np.nan, np.nan)) for one in batch]
        columns[f"{name}_expected"] = [mean for mean, _ in pairs]
        columns[f"{name}_spread"] = [spread for _, spread in pairs]
    return pd.DataFrame(columns)


def show_history(ledger: Ledger) -> pd.DataFrame:
    """All molecules as :meth:`grammar_rae.optimization.Search.history` gives them."""
    objectives = list(ledger.settings["objectives"])
    rows = []
    for one in ledger.molecules.values():
        row: dict[str, Any] = {ID: one.id, SMILES: one.text, "batch": one.batch or 0, "origin": one.origin}
        for name in objectives:
            mean, spread = one.expected.get(name, (np.nan, np.nan))
            row |= {name: one.value(name), f"{name}_expected": mean, f"{name}_spread": spread}
        row["measurements"] = max(map(len, one.measured.values()), default=0)
        row[REASON] = "; ".join(dict.fromkeys(one.failed.values()))
        rows.append(row)
    names = [part for name in objectives for part in (name, f"{name}_expected", f"{name}_spread")]
    return pd.DataFrame(rows, columns=[ID, SMILES, "batch", "origin", *names, "measurements", REASON])
