"""What the campaigns share: they try, count what came of it, and print the counts."""

import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from grammar_rae.errors import GrammarRAEError


class Ledger:
    """Counts of outcomes; an error that is not the package's is a failure of the campaign."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.begun, self.slowest, self.n = time.monotonic(), 0.0, 0

    def ask(self, what: str, call: Callable[[], Any]) -> Any:
        """What a call gives, None where it is refused or fails; ``what`` names it, with its seed."""
        started, outcome = time.monotonic(), "done"
        try:
            return call()
        except GrammarRAEError as error:
            outcome = "refused"
            assert str(error).strip(), f"{what}: an error without a word"
            assert len(str(error)) < 4000, f"{what}: an endless error"
        except Exception as error:
            outcome = "failed"
            at = traceback.extract_tb(error.__traceback__)[-1]
            self.failures.append(f"{what}: {type(error).__name__}: {error} ({at.filename}, line {at.lineno})")
        finally:
            self.n += 1
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.counts[outcome] += 1
        return None

    def tell(self) -> None:
        """Print what came of it, and fail if a call failed."""
        seconds = time.monotonic() - self.begun
        took = f"{seconds:.0f} s, the slowest {self.slowest:.1f} s"
        print(f"\n{self.title}: n {self.n:,}, failures {len(self.failures):,}, {took}")
        for outcome, count in sorted(self.counts.items()):
            print(f"  {outcome}: {count:,}")
        if self.failures:
            pytest.fail("\n".join(self.failures[:20]))
