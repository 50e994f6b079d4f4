"""What all tests of models share."""

from collections.abc import Iterator

import pytest
import torch

from grammar_rae.model.current import forget_models


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Nets as small as these are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_current() -> Iterator[None]:
    """A process that has trained and loaded no model yet."""
    forget_models()
    yield
    forget_models()
