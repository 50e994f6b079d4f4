"""The data of the drug-like model: what is held out is held out with all of its stereo forms, and nothing is lost."""

import argparse
import gzip
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from grammar_rae.codecs import codec_from_dict
from grammar_rae.datasets import TokenDataset

SCRIPT = Path(__file__).parent.parent / "data" / "prepare_druglike.py"
STEREO = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O", "C/C=C/CO", "C/C=C\\CO", "CC=CCO"]
PLAIN = ["C" * i + end for i in range(2, 30) for end in ("O", "N", "Cl", "(=O)O", "c1ccccc1", "C1CCNCC1")]
MOSES_TEST = "CCc1ccccc1O"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prepare_druglike", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def write(path: Path, texts: list[str]) -> Path:
    with gzip.open(path, "wt") as stream:
        stream.write("\n".join(texts) + "\n")
    return path


@pytest.fixture(scope="module")
def made(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("druglike")
    for name, rows in (("train", ["CCCCCCOC", "CCOCCOCC"]), ("test", [MOSES_TEST]), ("test_scaffolds", ["CCOCC"])):
        pd.DataFrame({"SMILES": rows}).to_csv(folder / f"{name}.csv.gz", index=False)
    pd.DataFrame({"smiles": ["CCSCC"], "target": ["T"]}).to_csv(folder / "targets.tsv.gz", sep="\t", index=False)
    arguments = argparse.Namespace(
        folder=folder / "pieces",
        broad=write(folder / "broad.smi.gz", [*STEREO, *PLAIN, MOSES_TEST, "no molecule"[:2]]),
        zinc=write(folder / "zinc.smi.gz", ["CCSCC", "CC[NH3+]", "CCOCCN"]),
        moses=folder,
        targets=folder / "targets.tsv.gz",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "PIECE", 64)
        patch.setattr(script, "TEST", 0.3)
        patch.setattr(script, "VALIDATION", 0.2)
        patch.setattr(script, "RANDOM", 0.5)
        arguments.folder.mkdir()
        script.prepare(arguments)
        script.complete(arguments)
        then = {"macros": 8, "max_length": 96, "codec_rows": 500, "codec": None, "pieces": None}
        script.assemble(argparse.Namespace(folder=arguments.folder, output=folder / "data", **then))
        pieces = script.Pieces(arguments.folder, None)
    return pieces, folder / "data"


def test_every_molecule_is_somewhere(made: tuple[Any, Path]) -> None:
    pieces, _ = made
    assert len(pieces.texts) == len(STEREO) + len(PLAIN) + 1 + 3 + 2  # all but what is no molecule
    assert not (pieces.tested & pieces.validating).any() and not (pieces.training & pieces.tested).any()
    assert pieces.tested.sum() > 10 and pieces.validating.sum() > 10


def test_stereo_forms_stay_together(made: tuple[Any, Path]) -> None:
    pieces, _ = made
    where = {
        text: (bool(a), bool(b)) for text, a, b in zip(pieces.texts, pieces.tested, pieces.validating, strict=True)
    }
    for some in (STEREO[:3], STEREO[3:]):
        assert where[some[0]] == where[some[1]] == where[some[2]]


def test_yardsticks_are_not_trained_on(made: tuple[Any, Path]) -> None:
    pieces, data = made
    trained = TokenDataset.open(data / "train")
    codec = codec_from_dict(trained.codec_dict)
    texts = {Chem.CanonSmiles(codec.decode(trained.tokens(i))) for i in range(len(trained))}
    assert not texts & {MOSES_TEST, "CCSCC"}
    assert texts == {text for text, trains in zip(pieces.texts, pieces.training, strict=True) if trains}


def test_facts_are_of_their_rows(made: tuple[Any, Path]) -> None:
    _, data = made
    trained = TokenDataset.open(data / "train")
    facts = trained.facts
    assert facts is not None and facts.n_bits == 512
    codec = codec_from_dict(trained.codec_dict)
    assert facts.reordered.any() and not facts.reordered.all()
    for i in range(len(trained)):
        found = Chem.MolFromSmiles(codec.decode(trained.tokens(i)))
        weight = facts.properties[i][facts.names.index("weight")]
        assert weight == pytest.approx(Chem.Descriptors.MolWt(found), rel=1e-5)  # of all rows, after complete
    assert np.isnan(facts.properties[:, facts.names.index("qed")]).any()
