"""Data sets that outgrow one file: encoding, training and drawing by the number of rows, and on clusters.

Each measurement runs in a process of its own, so that its peak of memory is its own.
"""

import gzip
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, peak_memory
from grammar_rae.chem.orders import reorder
from grammar_rae.datasets import ShardedDataset, encode_shards, read_texts
from grammar_rae.datasets.sharded import EncodedShard, Manifest
from grammar_rae.errors import InputError
from grammar_rae.model import TextModel
from grammar_rae.model.current import find_model

SHARD = 100_000
SECONDS = 40.0
"""How long each training lasts."""

LOOP = 1_000
"""Texts of one call of ``sample``, in the loop that ``draw_shards`` is compared with."""


def run(
    source: Path,
    folder: Path,
    *,
    rows: Sequence[int] = (100_000, 1_000_000),
    repeated: int = 10_000_000,
    draws: int = 100_000,
    model: str = "molecules",
    jobs: int = 1,
) -> list[Row]:
    """Encode so many rows, train on them and on more, and draw.

    Parameters
    ----------
    source
        A file of molecules. Where it has fewer rows than are asked for, it is repeated in random orders of the atoms.
    folder
        Where files, shards and draws are written; what is there is used again.
    rows
        How many are encoded, ascending.
    repeated
        Rows of the data set that the largest of these is repeated to, shard by shard, for the training; 0 for none.
    draws
        Texts that are drawn into a folder, beside a loop over ``sample``; 0 for none.
    jobs
        Processes of encoding and drawing.

    Raises
    ------
    InputError
        For numbers of rows that no training can take.
    """
    if not rows or min(rows) < SHARD:
        raise InputError("too few rows", received=f"{list(rows)}", expected=f"numbers of {SHARD:,} or more")
    folder.mkdir(parents=True, exist_ok=True)
    found, largest = [], folder
    for n in sorted(rows):
        text = write_orders(source, folder / f"{n}.smi.gz", n)
        largest = folder / f"encoded-{n}"
        found.append(_apart(_encode, text, largest, model, jobs, None))
        found.append(_apart(_train, largest))
    if repeated > max(rows):
        found.append(_apart(_train, repeat(largest, folder / f"encoded-{repeated}", repeated)))
    if draws:
        found.append(_apart(_draw_loop, model, draws))
        found.append(_apart(_draw, folder / f"draws-{draws}", model, draws, jobs))
    return found


def run_clusters(source: Path, folder: Path, *, rows: int = 100_000, model: str = "molecules") -> list[Row]:
    """Encode so many rows with two processes of this machine, and with two workers of Dask and of Ray, as installed."""
    folder.mkdir(parents=True, exist_ok=True)
    text = write_orders(source, folder / f"{rows}.smi.gz", rows)
    found = []
    for cluster in ("loky", "dask", "ray"):
        try:
            __import__({"loky": "joblib", "dask": "distributed", "ray": "ray"}[cluster])
        except ImportError:
            found.append({"what": "encode", "cluster": cluster, "seconds": "not installed"})
            continue
        found.append(_apart(_encode, text, folder / f"encoded-{cluster}-{rows}", model, 2, cluster))
    return found


def write_orders(source: Path, target: Path, n: int) -> Path:
    """Write n molecules of a file, from the second time on in a random order of their atoms."""
    if target.is_file():
        return target
    texts = [text for _, text in read_texts(source)]

    def orders() -> Iterator[str]:
        for place in range(n):
            turn, row = divmod(place, len(texts))
            yield next(iter(reorder(texts[row], 1, turn)), texts[row]) if turn else texts[row]

    part = target.with_suffix(".part")
    with gzip.open(part, "wt", encoding="utf-8") as file:
        file.writelines(f"{text}\n" for text in orders())
    part.replace(target)
    return target


def repeat(encoded: Path, target: Path, n: int) -> Path:
    """Make a data set of n rows or more by linking the shards of another again and again."""
    manifest = Manifest.read(encoded)
    shards: list[EncodedShard] = []
    while sum(shard.accepted for shard in shards) < n:
        again = replace(manifest.shards[len(shards) % len(manifest.shards)], number=len(shards))
        if not (target / again.name).is_dir():
            former = encoded / manifest.shards[again.number % len(manifest.shards)].name
            shutil.copytree(former, target / again.name, copy_function=os.link)
        shards.append(again)
    manifest.shards = shards
    manifest.write(target)
    return target


def _apart(function: Callable[..., Row], *arguments: Any) -> Row:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, function, arguments).result()


def _measure(function: Callable[..., Row], arguments: tuple[Any, ...]) -> Row:
    before = peak_memory()
    row = function(*arguments)
    return row | {"peak_megabytes": peak_memory(), "megabytes_before": row.get("megabytes_before", before)}


def _encode(text: Path, target: Path, model: str, jobs: int, cluster: str | None) -> Row:
    codec = find_model(model).codec
    codec.encode_batch([next(iter(read_texts(text)))[1]])  # compiles what a first text compiles
    shutil.rmtree(target, ignore_errors=True)
    before = peak_memory()
    with _workers(cluster, jobs):
        began, own = time.perf_counter(), time.process_time()
        data = encode_shards(text, codec, target, rows=SHARD, jobs=jobs, fields="first")
        seconds = time.perf_counter() - began
    read = data.manifest.total("read")
    return {
        "what": "encode",
        "cluster": cluster or "",
        "jobs": jobs,
        "rows": read,
        "rejected": data.manifest.total("rejected"),
        "seconds": seconds,
        "microseconds_a_row": seconds / read * 1e6,
        "process_microseconds_a_row": (time.process_time() - own) / read * 1e6,
        "megabytes_before": before,
    }


def _workers(cluster: str | None, jobs: int) -> Any:
    from contextlib import nullcontext

    import joblib

    if cluster == "dask":
        import distributed

        local: Any = distributed.LocalCluster
        connect: Any = distributed.Client
        client = connect(local(n_workers=jobs, threads_per_worker=1, dashboard_address=None))
        return joblib.parallel_config(backend="dask", client=client)
    if cluster == "ray":
        import ray
        from ray.util.joblib import register_ray

        ray.init(num_cpus=jobs, include_dashboard=False)
        register_ray()
        return joblib.parallel_config(backend="ray")
    return nullcontext()


def _train(encoded: Path) -> Row:
    data = ShardedDataset.open(encoded)
    before, began = peak_memory(), time.perf_counter()
    model = TextModel("tiny", time_limit=SECONDS, seed=0).fit(data, jobs=1)
    spent = time.perf_counter() - began
    last: dict[str, Any] = model.history.rows[-1]
    return {
        "what": "train",
        "rows": len(data),
        "steps_a_second": last["step"] / last["seconds"],
        "seconds_besides_training": spent - last["seconds"],
        "megabytes_before": before,
    }


def _draw_loop(model: str, n: int) -> Row:
    drawn = find_model(model)
    count = max(1, min(n, 10 * LOOP) // LOOP)
    drawn.sample(LOOP, seed=0)
    began = time.perf_counter()
    for seed in range(count):
        drawn.sample(LOOP, seed=seed)
    return {
        "what": "sample in a loop",
        "rows": count * LOOP,
        "rows_a_second": count * LOOP / (time.perf_counter() - began),
    }


def _draw(target: Path, model: str, n: int, jobs: int) -> Row:
    from grammar_rae.model.shards import draw_shards

    shutil.rmtree(target, ignore_errors=True)
    before, began = peak_memory(), time.perf_counter()
    draw_shards(n, target, model, seed=0, jobs=jobs, rows=min(50_000, max(1, n // 4)))
    seconds = time.perf_counter() - began
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    return {
        "what": "draw",
        "jobs": jobs,
        "rows": n,
        "files": len(manifest.get("shards", manifest.get("files", []))),
        "rows_a_second": n / seconds,
        "megabytes_before": before,
    }
