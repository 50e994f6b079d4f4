"""What tests of studies share; each file has a ``study`` of its own."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.grid import Study, measure


@pytest.fixture(scope="module")
def rows(study: Study) -> list[dict[str, Any]]:
    return list(measure(study))


@pytest.hookimpl(tryfirst=True)  # before items are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that wait until a toy study is measured are slow: CI runs them by themselves."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and "rows" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
