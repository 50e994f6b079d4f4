"""What the commands' tests share: a tiny model in a folder; what it draws is not looked at."""

from pathlib import Path

import pytest

from grammar_rae.datasets import sample_texts
from grammar_rae.model import TextModel
from grammar_rae.resources import bundled_file


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "run"
    texts = sample_texts(bundled_file("data/moses_sample.smi.gz"), 100, 0)
    TextModel("tiny", epochs=1).fit(texts, folder=folder, jobs=1)
    return folder
