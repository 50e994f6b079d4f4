"""What all tests share."""

import os
import signal
import sys
from collections.abc import Callable

import pytest

# Nets as small as these are slower on several threads, most of all beside other tests; set before PyTorch is imported,
# and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_works() -> None:
    """A shell starts its background jobs with Ctrl-C ignored, and their children inherit that; some tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """As above, whatever the environment says."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def hide_package(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make every import of a package fail, as where it is not installed."""

    def hide(package: str) -> None:
        for name in [package, *sys.modules]:
            if name == package or name.startswith(f"{package}."):
                monkeypatch.setitem(sys.modules, name, None)

    return hide
