"""A folder of drawn texts: Parquet files, and a manifest of what is finished."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from grammar_rae import checkpoint
from grammar_rae.checks import check_path
from grammar_rae.errors import DataError
from grammar_rae.files import write_text

MANIFEST = "manifest.json"
KIND, FORMAT = "grammar_rae drawn texts", 1


def shard_name(number: int) -> str:
    """The name of a finished shard's file."""
    return f"part-{number:06d}.parquet"


@dataclass(frozen=True)
class Shard:
    """One file of drawn texts.

    Attributes
    ----------
    number
        Its place, from 0.
    file, sha256
        Its name in the folder, and the sum of its bytes.
    rows
        The texts in it.
    drawn, attempts, valid, hits
        The texts that were drawn for it, how many were decoded for these, how many of those were valid, and how many of
        the valid ones had what was asked for.
    """

    number: int
    file: str
    sha256: str
    rows: int
    drawn: int
    attempts: int
    valid: int
    hits: int


@dataclass(frozen=True)
class DrawnShards:
    """A folder of drawn texts.

    Attributes
    ----------
    folder
        Where they are.
    settings
        What they were drawn with: the model's digest, the seed, the rows of a shard, and the options.
    shards
        What is finished.
    """

    folder: Path
    settings: dict[str, Any]
    shards: list[Shard] = field(default_factory=list)

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> "DrawnShards":
        """What :func:`draw_shards` wrote into a folder.

        Raises
        ------
        DataError
            When there is nothing of that kind, or it is damaged.
        """
        folder = check_path(folder)
        path = folder / MANIFEST
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            numbers = (found["settings"]["seed"], found["settings"]["shard_rows"])
            sound = all(type(number) is int and number >= 0 for number in numbers) and numbers[1] > 0
            if not sound or found["kind"] != KIND or not 1 <= int(found["format"]) <= FORMAT:
                raise ValueError("it is of another kind, of a newer version, or lacks its settings")
            shards = [Shard(**shard) for shard in found["shards"]]
            if any(
                shard.number != place or shard.file != shard_name(place) or type(shard.rows) is not int
                for place, shard in enumerate(shards)
            ):
                raise ValueError("its shards are not in order")
        except OSError as error:
            raise DataError(f"the folder holds no drawn texts ({error.strerror})", where=str(path)) from error
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise DataError(f"the list of drawn texts cannot be read ({error})", where=str(path)) from error
        return cls(folder, found["settings"], shards)

    @property
    def paths(self) -> list[Path]:
        """The files, in their order."""
        return [self.folder / shard.file for shard in self.shards]

    def frames(self) -> Iterator[pd.DataFrame]:
        """The tables of the shards, one after another: never all in memory."""
        return (pd.read_parquet(path) for path in self.paths)

    def __len__(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def seed(self) -> int:
        """With this seed they are drawn again."""
        return int(self.settings["seed"])

    @property
    def attempts(self) -> int:
        """How many texts were decoded for all shards."""
        return sum(shard.attempts for shard in self.shards)

    @property
    def validity(self) -> float:
        """The share of all decoded texts that were valid."""
        return sum(shard.valid for shard in self.shards) / self.attempts if self.attempts else float("nan")

    @property
    def repeated(self) -> int:
        """Texts that were drawn and left out, because they came before or the last shard needed no more."""
        return sum(shard.drawn - shard.rows for shard in self.shards)

    def save(self) -> None:
        """Write the manifest anew."""
        content = {
            "kind": KIND,
            "format": FORMAT,
            "settings": self.settings,
            "rows": len(self),
            "attempts": self.attempts,
            "versions": checkpoint.versions(),
            "shards": [asdict(shard) for shard in self.shards],
        }
        write_text(self.folder / MANIFEST, json.dumps(content, indent=1) + "\n")
