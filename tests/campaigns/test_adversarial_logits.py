"""Random, peaked and adversarial logits under chemistry, and under each limit that combines with it.

Whatever the logits, every row ends within the limit as a molecule that RDKit sanitises and that keeps to the limits.
"""

import numpy as np
import pytest
import torch
from campaigns.ledger import Ledger
from decoding.chemistry.molecular import atoms_of, bind, codec_of, decode_texts, molecule_scripts
from decoding.scripted import seeded
from rdkit import Chem

from grammar_rae import chem

FEW, MANY = 120, 1_000_000
BATCH = 500
CODEC = "smiles, 80"
KEPT = {
    "chemistry": lambda molecule: True,
    "chemistry; max-heavy-atoms=20": lambda molecule: molecule.GetNumHeavyAtoms() <= 20,
    "chemistry; elements=C,N,O": lambda molecule: {a.GetSymbol() for a in molecule.GetAtoms()} <= {"C", "N", "O", "H"},
    "chemistry; ring-sizes=5,6": lambda molecule: all(len(r) in (5, 6) for r in Chem.GetSymmSSSR(molecule)),
    "chemistry; scaffold-prefix=c1ccccc1C(=O)N": lambda molecule: molecule.HasSubstructMatch(AMIDE),
    "chemistry; max-heavy-atoms=30; elements=C,N,O; ring-sizes=5,6": lambda molecule: (
        molecule.GetNumHeavyAtoms() <= 30 and all(len(r) in (5, 6) for r in Chem.GetSymmSSSR(molecule))
    ),
}
AMIDE = Chem.MolFromSmarts("c1ccccc1C(=O)[#7]")  # what is written behind it may make the nitrogen aromatic


@pytest.mark.parametrize("n", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_adversarial_logits(n: int) -> None:
    codec = codec_of(CODEC)
    assert atoms_of(CODEC)
    ledger = Ledger("molecules decoded from logits")
    dearest = torch.from_numpy(np.asarray(codec.rules.arity, np.float32))
    kinds = list(molecule_scripts(codec.rules, 0, dearest))
    turns = [(spec, kind) for spec in KEPT for kind in kinds]
    each = max(1, min(BATCH, n // len(turns)))
    done = turn = 0
    while done < n:
        spec, kind = turns[turn % len(turns)]
        logits = molecule_scripts(codec.rules, turn, dearest)[kind]
        limit = int(np.random.default_rng(turn).integers(40, 120))

        def decode(spec: str = spec, logits: object = logits, limit: int = limit, turn: int = turn) -> None:
            texts = decode_texts(CODEC, bind(CODEC, spec), logits, each, limit, temperature=turn % 2, seed=turn)
            for text in texts:
                molecule = Chem.MolFromSmiles(text)
                assert molecule is not None and molecule.GetNumAtoms(), text
                assert KEPT[spec](molecule), (spec, text)
            lengths = np.diff(codec.encode_batch(texts, prepared=True).offsets)
            assert len(lengths) == each and lengths.max() <= limit

        with chem.log.quiet:
            ledger.ask(f"turn {turn} ({spec}, {kind}, limit {limit})", decode)
        ledger.counts[spec] += each
        done, turn = done + each, turn + 1
    ledger.n = done
    ledger.tell()
    assert not ledger.counts["refused"], "a dead end"
    assert seeded(0) is not None
