"""A tiny model and a file, for all tests of the explorer."""

from pathlib import Path

import pytest
from explorer.sessions import WRITTEN, Asked, begin
from model.texts.text_models import EXACT, TEXTS

from grammar_rae.model import TextModel


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="session")
def tiny(run_folder: Path) -> TextModel:
    return TextModel("tiny", epochs=2, overrides=EXACT | {"constraint": "chemistry"}).fit(
        TEXTS[:200], folder=run_folder, jobs=1
    )


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.csv"
    path.write_text(WRITTEN)
    return path


@pytest.fixture
def session(tiny: TextModel, run_folder: Path, mine: Path) -> Asked:
    return begin(tiny, run_folder, mine)
