"""A model that is trained once for all tests."""

from pathlib import Path

import pytest
from model.images.image_models import TRAIN, WELL, quick

from grammar_rae.model import ImageModel


@pytest.fixture(scope="session")
def model() -> ImageModel:
    return quick(epochs=15, **WELL).fit(TRAIN)


@pytest.fixture(scope="session")
def saved(model: ImageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder)
    return folder
