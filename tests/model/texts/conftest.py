"""Models that are trained once for all tests."""

from pathlib import Path

import pytest
from model.texts.text_models import EXACT, TEXTS, grus

from grammar_rae.model import TextModel


@pytest.fixture(scope="session")
def model() -> TextModel:
    return TextModel("tiny", epochs=3, overrides=EXACT).fit(TEXTS)


@pytest.fixture(scope="session")
def learned() -> TextModel:
    """One that knows a few molecules by heart, so that what it decodes depends on the code."""
    sizes = grus(16, 32, 64, 16)
    settings = {"learning_rate": 0.01, "validation_fraction": 0.01, "batch_size": 4, "validate_every": 1e9}
    return TextModel("tiny", epochs=100, overrides=EXACT | sizes | settings).fit(TEXTS[:12])


@pytest.fixture(scope="session")
def saved(model: TextModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder)
    return folder
