"""What both kinds of model say to a training that cannot be resumed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model.images import image_models
from model.texts import text_models

from grammar_rae.errors import InputError, TrainingError


@pytest.mark.parametrize(
    ("quick", "data"), [(image_models.quick, image_models.TRAIN), (text_models.quick, text_models.FEW)]
)
def test_nothing_to_resume(quick: Callable[[], Any], data: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to resume without a folder"):
        quick().fit(data, resume=True)
    with pytest.raises(TrainingError, match="no training to resume"):
        quick().fit(data, folder=tmp_path / "new", resume=True)
