"""Drawing more than fits into memory: a folder of Parquet files, written as they are drawn, and resumed.

Every shard has a seed of its own, that of the whole and its number, so its rows depend neither on the others nor on who
draws them: however often the work is interrupted and however many workers share it, one seed gives the same rows. A
worker writes what it has drawn under a name of its own; whoever asked gives it its place, in order, and then enters it
into ``manifest.json``. Only what stands there counts.
"""

import hashlib
import inspect
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from grammar_rae.checks import check_count, check_flag, check_jobs, check_path
from grammar_rae.datasets.duplicates import BloomFilter
from grammar_rae.errors import DataError, InputError, MissingExtraError, UnknownNameError, WorkerError
from grammar_rae.files import explain_write_errors, replacing
from grammar_rae.locks import FolderLock
from grammar_rae.model.current import find_model
from grammar_rae.model.drawn import MANIFEST, DrawnShards, Shard, shard_name
from grammar_rae.model.sampling import SamplingMixin
from grammar_rae.parallel import map_parts
from grammar_rae.resources import bundled_model, bundled_models, model_folder
from grammar_rae.scores import score
from grammar_rae.seeds import check_seed, resolve_seed

ROWS = 50_000
"""Rows of a shard: about a minute of one core."""

MOST_ROUNDS = 100
"""How many times as many shards as rows would need may be drawn, until there are enough that differ."""

_TEXTS = "smiles"
_COUNTS = ("rows", "drawn", "attempts", "valid", "hits")
_REMEDY = "Draw into another folder, or ask for the same as before."


def draw_shards(
    n: int,
    folder: str | PathLike[str],
    model: str | PathLike[str],
    *,
    seed: int | None = None,
    rows: int | None = None,
    distinct: bool = False,
    scores: Sequence[str] = (),
    int8: bool = False,
    jobs: int = 1,
    progress: bool = False,
    **options: Any,
) -> DrawnShards:
    """Draw n texts into a folder of Parquet files; what a former call has drawn there is kept, and completed.

    Parameters
    ----------
    n
        How many. A later call with a larger n goes on, and draws the same as if it had been asked at once (not with
        ``distinct``).
    folder
        Where to write; with workers on other machines, a folder that all of them see.
    model
        The folder of a model, or the name of a bundled one; each worker loads it once.
    seed
        One seed gives the same rows, however often the work is interrupted and whatever the number of workers; None
        takes that of the folder, or draws one.
    rows
        Texts that are drawn for a shard; None for those of the folder, or 50,000. A kill loses the shards that are
        being drawn, one a worker.
    distinct
        Leave out texts that came before. A Bloom filter says which did: it takes 2.4 bytes for each of the n texts from
        the beginning, and takes one new text in about 140,000 for a known one.
    scores
        Names of scores to add as columns.
    int8
        Draw with weights of eight bits, compared with the model's own before the first text is drawn: see
        :meth:`TextModel.quantized`.
    jobs
        Number of processes, each of one thread; -1 for one a core. See :func:`grammar_rae.parallel.map_parts`.
    progress
        Whether to show a progress bar over all.
    options
        As for :meth:`TextModel.sample`: what JSON holds.

    Warns
    -----
    UserWarning
        When the model gives too few texts that are valid, or differ; when weights of eight bits make them worse.

    Raises
    ------
    InputError
        For settings that cannot be used.
    DataError
        When the folder holds something else, was drawn with other settings, or cannot be written.
    WorkerError
        When a worker sees another model, or ends.
    MissingExtraError
        Without pyarrow.
    """
    n, jobs = check_count("n", n), check_jobs(jobs)
    check_flag("distinct", distinct)
    check_flag("int8", int8)
    _require_pyarrow()
    path = model_folder(model)
    score([], scores)
    target = check_path(folder).resolve()
    with explain_write_errors("the drawn texts", where=str(target)):
        target.mkdir(parents=True, exist_ok=True)
        with FolderLock(target, "a drawing"):
            before = _open_before(target)
            settings = {
                "model": _digest(path),
                "seed": before.seed if before is not None and seed is None else resolve_seed(seed),
                "shard_rows": _choose_rows(rows, n, before),
                "distinct": n if distinct else None,
                "scores": list(scores),
                "int8": int8,
                "options": _plain(options),
            }
            drawn = DrawnShards(target, settings) if before is None else before
            _require_same(drawn, settings)
            if len(drawn) > n:
                raise InputError(
                    "more texts are there than are asked for", received=n, expected=f"{len(drawn)} or more"
                )
            if int8 and before is None:
                find_model(path).quantized()  # compares them; workers need not again
            drawn.save()
            task = _Task(_name_model(path), str(target), json.dumps(settings, sort_keys=True))
            _draw_all(task, drawn, n, jobs, progress)
    return drawn


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they come back from JSON, without those that are what drawing does by itself."""
    known = inspect.signature(SamplingMixin.sample).parameters
    for name in options:
        if name not in known or name in ("self", "n", "seed"):
            raise UnknownNameError(
                "option of a drawing", name, known.keys() - {"self", "n", "seed"}, "TextModel.sample"
            )
    chosen = {name: value for name, value in options.items() if value != known[name].default}
    try:
        found: dict[str, Any] = json.loads(json.dumps(chosen))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"an option cannot be written into the manifest ({error})",
            expected="texts, numbers, lists and mappings; a constraint as text",
        ) from error
    return found


def _open_before(target: Path) -> DrawnShards | None:
    """What is there already, checked; None in an empty folder."""
    if (target / MANIFEST).exists():
        before = DrawnShards.open(target)
        for shard, path in zip(before.shards, before.paths, strict=True):
            _check_shard(path, shard)
        return before
    if any(not entry.name.startswith(".") for entry in target.iterdir()):
        raise DataError(
            "something else is where the drawn texts should go",
            where=str(target),
            expected="a new folder, an empty one, or one of drawn texts to complete",
        )
    return None


def _check_shard(path: Path, shard: Shard) -> None:
    if not path.is_file():
        raise DataError("a shard is missing", where=str(path), remedy="Restore it, or draw into another folder.")
    if _digest_file(path) != shard.sha256:
        raise DataError(
            "a shard was changed after it was drawn (its sha256 differs)",
            where=str(path),
            remedy="Restore it, or draw into another folder.",
        )


def _choose_rows(rows: int | None, n: int, before: DrawnShards | None) -> int:
    if rows is not None:
        return check_count("rows", rows)
    return min(ROWS, n) if before is None else int(before.settings["shard_rows"])


def _require_same(drawn: DrawnShards, settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        if drawn.settings.get(name) != value:
            raise DataError(
                f"these texts were drawn with another {name.replace('_', ' ')}",
                where=str(drawn.folder),
                received=repr(value),
                expected=repr(drawn.settings.get(name)),
                remedy=_REMEDY,
            )


# --- the order of the shards -----------------------------------------------------------------------------------------


def _draw_all(task: "_Task", drawn: DrawnShards, n: int, jobs: int, progress: bool) -> None:
    from grammar_rae.bars import bar_type

    tqdm = bar_type()

    rows = int(drawn.settings["shard_rows"])
    _reopen_last(drawn, n)
    seen = _rebuild_filter(drawn)
    most = MOST_ROUNDS * -(-n // rows)
    with tqdm(desc="drawing", total=n, initial=len(drawn), unit=" texts", unit_scale=True, disable=not progress) as bar:
        while (missing := n - len(drawn)) > 0 and len(drawn.shards) < most:
            # As many as are likely to be needed: the share that was kept so far tells.
            kept = len(drawn) / (len(drawn.shards) * rows) if len(drawn) else 1.0
            first = len(drawn.shards)
            count = min(math.ceil(missing / (rows * kept)), most - first)
            with closing(map_parts(_draw_shard, ((task, first + k) for k in range(count)), jobs)) as results:
                for found in results:
                    bar.update(_put_in_place(drawn, found, n - len(drawn), seen).rows)
                    if len(drawn) == n:
                        break
    for raw in drawn.folder.glob(".raw-*.parquet"):
        raw.unlink()
    if len(drawn) < n:
        warnings.warn(
            f"only {len(drawn)} of {n} texts after {drawn.attempts} attempts (validity {drawn.validity:.2%}); ask for "
            "fewer, or lift what excludes the others",
            stacklevel=3,
        )


def _reopen_last(drawn: DrawnShards, n: int) -> None:
    """Take out the shard that a smaller n cut short: it is drawn again, whole."""
    cut = drawn.shards and drawn.shards[-1].rows < drawn.shards[-1].drawn
    if cut and drawn.settings["distinct"] is None and len(drawn) < n:
        drawn.shards.pop()
        drawn.save()


def _rebuild_filter(drawn: DrawnShards) -> BloomFilter | None:
    if drawn.settings["distinct"] is None:
        return None
    seen = BloomFilter(int(drawn.settings["distinct"]))
    for path in drawn.paths:
        seen.add(_keys(pd.read_parquet(path, columns=[_TEXTS])))
    return seen


def _put_in_place(drawn: DrawnShards, found: Shard, missing: int, seen: BloomFilter | None) -> Shard:
    """Give a shard its name, without what came before or is not needed, and enter it into the manifest."""
    raw, path = drawn.folder / found.file, drawn.folder / shard_name(found.number)
    digest, rows = found.sha256, found.rows
    if seen is None and rows <= missing:
        raw.replace(path)
    else:
        frame = pd.read_parquet(raw)
        if seen is not None:
            frame = frame[seen.add(_keys(frame))]
        frame = frame.head(missing)
        rows = len(frame)
        digest = _write(path, frame, {})
        raw.unlink()
    shard = Shard(**asdict(found) | {"file": path.name, "sha256": digest, "rows": rows})
    drawn.shards.append(shard)
    drawn.save()
    return shard


def _keys(frame: pd.DataFrame) -> Any:
    """64-bit keys of the texts."""
    return pd.util.hash_array(frame[_TEXTS].to_numpy(dtype=object), categorize=False)


# --- one shard, in whatever process ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Task:
    """What a worker is told: where the model and the shards are, and the settings, as JSON."""

    model: str
    folder: str
    settings: str


def _draw_shard(task: _Task, number: int) -> Shard:
    """Draw a shard into a file of the worker's own, unless a call that was killed has drawn it."""
    raw = Path(task.folder) / f".raw-{number:06d}.parquet"
    settings = json.loads(task.settings)
    if (found := _read_counts(raw, task)) is not None:
        return Shard(number, raw.name, _digest_file(raw), **found)
    path = model_folder(task.model)
    if not path.is_dir() or _digest(path) != settings["model"]:
        raise WorkerError(
            "a worker sees another model, or none",
            where=task.model,
            expected=f"the model of digest {settings['model'][:12]}",
            remedy="Put the model where all workers see it.",
        )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # processes share the work, and one thread gives the same texts everywhere
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"only \d+ of \d+ texts")  # that is told of all shards together
            result = _model(str(path), settings["model"], settings["int8"]).sample(
                settings["shard_rows"], seed=shard_seed(settings["seed"], number), **settings["options"]
            )
    finally:
        torch.set_num_threads(threads)
    counts = {
        "rows": len(result),
        "drawn": len(result),
        "attempts": result.attempts,
        "valid": result.n_valid,
        "hits": result.n_hits,
    }
    digest = _write(raw, result.to_frame(settings["scores"]), {"settings": task.settings, "counts": counts})
    return Shard(number, raw.name, digest, **counts)


@lru_cache(maxsize=1)
def _model(folder: str, digest: str, int8: bool) -> Any:
    """The model of a folder; a worker loads it once, and again when it is another."""
    del digest
    model = find_model(folder)
    return model.quantized(check=0) if int8 else model


def shard_seed(seed: int, number: int) -> int:
    """The seed of a shard."""
    digest = hashlib.blake2b(f"{check_seed(seed)} shard {number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _write(path: Path, frame: pd.DataFrame, about: dict[str, Any]) -> str:
    """Write a table with what is known of it; the sum of the file's bytes."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    with replacing(path, follow=False, sync=True) as draft:
        pyarrow.parquet.write_table(table.replace_schema_metadata({"grammar_rae": json.dumps(about)}), draft)
        return _digest_file(draft)


def _read_counts(raw: Path, task: _Task) -> dict[str, int] | None:
    """The counts of a shard that was drawn with the same settings; None where there is none."""
    import pyarrow
    import pyarrow.parquet

    try:
        found = pyarrow.parquet.read_metadata(raw)
        about = json.loads(found.metadata[b"grammar_rae"])
        counts = {name: about["counts"][name] for name in _COUNTS}
        sound = all(type(count) is int and count >= 0 for count in counts.values()) and counts["rows"] == found.num_rows
        return counts if sound and about["settings"] == task.settings else None
    except (OSError, ValueError, LookupError, TypeError, pyarrow.ArrowException):
        return None


def _name_model(path: Path) -> str:
    """What workers find a model by: a bundled one by its name, since each has its own copy."""
    return next((name for name in bundled_models() if bundled_model(name) == path), str(path.resolve()))


def _digest(model: Path) -> str:
    """The digest of a model: of its description, which holds those of its tensors."""
    try:
        return hashlib.sha256((model / "model.json").read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"there is no model ({error.strerror})", where=str(model)) from error


def _digest_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", "writing shards") from error
