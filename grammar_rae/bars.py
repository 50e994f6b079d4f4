"""The progress bar that fits where a program runs."""

import warnings
from typing import Any


def bar_type() -> Any:
    """``tqdm``'s bar for this terminal or notebook; a notebook without widgets gets the terminal's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress not found")
        from tqdm.auto import tqdm
    return tqdm
