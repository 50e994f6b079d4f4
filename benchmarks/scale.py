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
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain, cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from joblib.externals.loky import get_reusable_executor  # type: ignore[import-untyped]

from benchmarks.rows import Row, peak_memory, resident
from grammar_rae.chem.orders import reorder
from grammar_rae.codecs import codec_from_dict
from grammar_rae.datasets import ShardedDataset, encode, encode_shards, read_texts
from grammar_rae.datasets.sharded import EncodedShard, Manifest
from grammar_rae.errors import InputError
from grammar_rae.model.current import find_model
from grammar_rae.recipes import TextRecipe, build_text, get_recipe, training_settings
from grammar_rae.training import Callback, TrainingState, fit

SHARD = 100_000
STEPS = 200
"""Steps of each training."""

WARM_UP = 1_600
"""Texts that are encoded before the clock starts."""

ORDERS = 2
"""Orders of its atoms that a molecule of a short file is written in, before they come again."""

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
        How many are encoded; none where only drawing is measured.
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
    if min(rows, default=SHARD) < SHARD or (repeated and not rows):
        raise InputError("too few rows", received=f"{list(rows)}", expected=f"numbers of {SHARD:,} or more")
    folder.mkdir(parents=True, exist_ok=True)
    found, largest = [], folder
    for n in sorted(rows):
        text = write_orders(source, folder / f"{n}.smi.gz", n)
        largest = folder / f"encoded-{n}"
        found.append(_apart(_encode, text, largest, model, jobs, None))
        found.append(_apart(_train, largest))
    if repeated > max(rows, default=repeated):
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
    """Write n molecules of a file, the second time in a random order of their atoms, and then again."""
    if target.is_file():
        return target
    texts = [text for _, text in read_texts(source)]
    orders = [texts]
    while len(orders) < min(ORDERS, -(-n // len(texts))):
        orders.append([next(iter(reorder(text, 1, len(orders))), text) for text in texts])

    part = target.with_suffix(".part")
    with gzip.open(part, "wt", encoding="utf-8") as file:
        file.writelines(f"{text}\n" for text in islice(cycle(chain.from_iterable(orders)), n))
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
    first = [text for _, text in islice(read_texts(text), WARM_UP)]
    shutil.rmtree(target, ignore_errors=True)
    with _workers(cluster, jobs):
        encode(first, codec, jobs=jobs, chunk=WARM_UP // (8 * jobs))  # starts workers, and compiles what is compiled
        before, began, own = peak_memory(), time.perf_counter(), _work()
        data = encode_shards(text, codec, target, rows=SHARD, jobs=jobs, fields="first")
        seconds, work = time.perf_counter() - began, _work()
    read = data.manifest.total("read")
    return {
        "what": "encode",
        "cluster": cluster or "",
        "jobs": jobs,
        "rows": read,
        "rejected": data.manifest.total("rejected"),
        "seconds": seconds,
        "microseconds_a_row": seconds / read * 1e6,
        "process_microseconds_a_row": (work.seconds - own.seconds) / read * 1e6,
        "parent_microseconds_a_row": (work.own_seconds - own.own_seconds) / read * 1e6,
        "worker_megabytes": work.megabytes,
        "megabytes_before": before,
    }


class _Work(NamedTuple):
    """Seconds of processor time of this process, and of it with all that it started; most memory of one of these."""

    own_seconds: float
    seconds: float
    megabytes: float


def _work() -> _Work:
    """What this process and those that it started have worked so far; of itself alone where there is no ``/proc``."""
    tick, parents, seconds = os.sysconf("SC_CLK_TCK"), {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        process = int(path.parent.name)
        parents[process], seconds[process] = int(fields[1]), sum(map(int, fields[11:15])) / tick
    started: set[int] = set()
    found = {os.getpid()}
    while found := {process for process, parent in parents.items() if parent in found}:
        started |= found
    most = max((resident("VmHWM", process) or 0.0 for process in started), default=0.0)
    own = time.process_time()
    return _Work(own, own + sum(seconds.get(process, 0.0) for process in started), most)


@contextmanager
def _workers(cluster: str | None, jobs: int) -> Iterator[None]:
    """Where parallel work goes; its processes end with the context, since this one waits for them when it ends."""
    import joblib

    with ExitStack() as stack:
        if cluster == "dask":
            import distributed

            local: Any = distributed.LocalCluster
            connect: Any = distributed.Client
            nodes = stack.enter_context(local(n_workers=jobs, threads_per_worker=1, dashboard_address=None))
            stack.enter_context(joblib.parallel_config(backend="dask", client=stack.enter_context(connect(nodes))))
        elif cluster == "ray":
            import ray
            from ray.util.joblib import register_ray

            ray.init(num_cpus=jobs, include_dashboard=False)
            stack.callback(ray.shutdown)
            register_ray()
            stack.enter_context(joblib.parallel_config(backend="ray"))
        else:
            stack.callback(lambda: get_reusable_executor().shutdown(wait=True))
        yield


class _Clock(Callback):
    """When each step of a training ended, and the most memory that is no page of a file; ends it after some steps."""

    def __init__(self, steps: int) -> None:
        self.ends: list[tuple[float, float]] = []
        self.steps, self.anonymous = steps, 0.0

    def on_step(self, state: TrainingState) -> None:
        """Note the time, and interrupt the training after its last step."""
        self.ends.append((time.perf_counter(), time.process_time()))
        if state.step % 25 == 0:
            self.anonymous = max(self.anonymous, resident("RssAnon") or 0.0)
        if state.step >= self.steps:
            raise KeyboardInterrupt


def _train(encoded: Path) -> Row:
    """Training by the recipe ``tiny``, from the opening of the data on."""
    recipe = get_recipe("tiny", TextRecipe).replace(epochs=1000, seed=0)
    parts = build_text(recipe, codec_from_dict(ShardedDataset.open(encoded).codec_dict))
    before, clock = peak_memory(), _Clock(STEPS)
    began, own = time.perf_counter(), time.process_time()
    data = ShardedDataset.open(encoded)
    sets = data.split(recipe.validation_fraction, 0, recipe.validation_maximum)
    fit(parts.autoencoder, *sets, training_settings(recipe), callbacks=[clock])
    (first, first_own), (last, last_own), steps = clock.ends[0], clock.ends[-1], len(clock.ends) - 1
    return {
        "what": "train",
        "rows": len(data),
        "seconds_to_first_step": first - began,
        "process_seconds_to_first_step": first_own - own,
        "steps": steps + 1,
        "steps_a_second": steps / (last - first),
        "steps_a_process_second": steps / (last_own - first_own),
        "anonymous_megabytes": clock.anonymous,
        "megabytes_before": before,
    }


def _draw_loop(model: str, n: int) -> Row:
    drawn = find_model(model)
    count = max(1, min(n, 10 * LOOP) // LOOP)
    drawn.sample(LOOP, seed=0)
    began, own = time.perf_counter(), time.process_time()
    for seed in range(count):
        drawn.sample(LOOP, seed=seed)
    return {
        "what": "sample in a loop",
        "rows": count * LOOP,
        "rows_a_second": count * LOOP / (time.perf_counter() - began),
        "rows_a_process_second": count * LOOP / (time.process_time() - own),
    }


def _draw(target: Path, model: str, n: int, jobs: int) -> Row:
    from grammar_rae.model.shards import ROWS, draw_shards

    shutil.rmtree(target, ignore_errors=True)
    find_model(model).sample(LOOP, seed=0)
    before, began, own = peak_memory(), time.perf_counter(), _work()
    with _workers(None, jobs):
        draw_shards(n, target, model, seed=0, jobs=jobs, rows=min(ROWS, max(1, n // 4)))
        seconds, work = time.perf_counter() - began, _work()
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    return {
        "what": "draw",
        "jobs": jobs,
        "rows": n,
        "files": len(manifest.get("shards", manifest.get("files", []))),
        "rows_a_second": n / seconds,
        "rows_a_process_second": n / (work.seconds - own.seconds),
        "worker_megabytes": work.megabytes,
        "megabytes_before": before,
    }
