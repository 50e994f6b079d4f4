"""A toy model of molecules: chains of carbon, nitrogen and oxygen, around codes in [-1, 1]^3; and one with rings."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
from optimization.digits import drawn

from grammar_rae.chem import canonical_or_none

SIZE = 6


class Chains:
    """C, N and O so many times, one after the other, at the code of these three numbers."""

    codec = SimpleNamespace(canonical=canonical_or_none)
    core = ""

    def spell(self, counts: Any) -> str:
        carbon, nitrogen, oxygen = (int(count) for count in counts)
        return str(canonical_or_none(self.core + "C" * (carbon + 1) + "N" * nitrogen + "O" * oxygen))

    def encode(self, texts: list[str], errors: str = "raise") -> Any:
        parts = [[len(re.findall(letter, text)) for letter in ("[Cc]", "[Nn]", "O")] for text in texts]
        counts = np.array(parts, np.float32).reshape(-1, 3)
        return SimpleNamespace(codes=counts / (SIZE / 2) - 1, rows=np.arange(len(texts)))

    def decode_batch(self, z: Any, seed: int | None = None, **options: Any) -> Any:
        counts = np.clip(np.rint((np.asarray(z) + 1) * SIZE / 2), 0, SIZE)
        texts = [self.spell(row) for row in counts]
        return SimpleNamespace(texts=texts, valid=np.ones(len(texts), bool))

    def sample(
        self, n: int, valid_only: bool = True, seed: int = 0, constraint: Any = None, properties: Any = None
    ) -> Any:
        counts = np.random.default_rng(seed).integers(0, SIZE, (n, 3))
        return drawn(self, [self.spell(row) for row in counts])


class Phenyls(Chains):
    """The same on a benzene ring: molecules of one scaffold."""

    core = "c1ccccc1"
