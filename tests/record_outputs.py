"""Record what a bundled model gives, for ``test_recorded_outputs.py``: ``python tests/record_outputs.py NAME``.

For a model that was trained anew. A model that is still the same must give what was recorded.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import grammar_rae

RECORDED = Path(__file__).parent / "recorded_outputs.json"
MOLECULES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O",
    "C[NH+](C)CCc1c[nH]c2ccccc12",
    "COc1ccc(NC(=O)C2CCCCC2)cc1",
]


def record(name: str, constraints: list[str], texts: list[str]) -> dict[str, Any]:
    """What the model of a name gives for these texts and under these constraints, in float32."""
    torch.set_num_threads(1)
    model = grammar_rae.load(name)
    model.fitted_ = replace(model.fitted_, recipe=model.recipe_.replace(precision="32-true"))
    z = model.density_.sample(12, torch.Generator().manual_seed(1))
    return {
        "texts": texts,
        "codes": model.encode(texts)[:, :6].round(4).tolist(),
        "reconstructed": model.reconstruct(texts),
        "raw": model.sample(12, valid_only=False, seed=0).texts,
        "decoded": model.decode(z),
        "constrained": {text: model.sample(12, seed=0, constraint=text).texts for text in constraints},
    }


def main(name: str) -> None:
    """Record the model of a name, with the texts and constraints of its last record where there is one."""
    known = json.loads(RECORDED.read_text(encoding="utf-8"))
    before = known.get(name, {})
    constraints = list(before.get("constrained", {"chemistry": [], "chemistry; max-heavy-atoms=20": []}))
    known[name] = record(name, constraints, before.get("texts", MOLECULES))
    RECORDED.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
