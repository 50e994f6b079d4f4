"""What tests of studies share; each file has a ``study`` of its own."""

from typing import Any

import pytest

from benchmarks.grid import Study, measure


@pytest.fixture(scope="module")
def rows(study: Study) -> list[dict[str, Any]]:
    return list(measure(study))
