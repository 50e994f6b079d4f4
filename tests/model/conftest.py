"""What all tests of models share."""

from collections.abc import Iterator

import pytest

from grammar_rae.model.current import forget_models


@pytest.fixture
def no_current() -> Iterator[None]:
    """A process that has trained and loaded no model yet."""
    forget_models()
    yield
    forget_models()
