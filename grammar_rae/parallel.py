"""Work in parts, here or in other processes: where, joblib's configuration decides.

No backend is named, so that ``with joblib.parallel_config(backend="dask")`` (or ``"ray"``, or
:func:`grammar_rae.cluster.on_cluster`) moves every parallel part of the package to a cluster unchanged.
"""

import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from importlib import import_module
from itertools import islice
from pickle import PicklingError
from typing import Any, TypeVar, cast

from grammar_rae.checks import check_jobs
from grammar_rae.cluster import check_workers
from grammar_rae.errors import InputError, WorkerError

Result = TypeVar("Result")

AHEAD = 3
"""Parts that wait or are worked on for each worker: results that nobody has taken yet are no more than these."""

ROUND = 4 * AHEAD
"""The same where a backend gives lists alone: a round ends when its last part does, so it had better be long."""

_OF_THIS_MACHINE = ("LokyBackend", "MultiprocessingBackend", "SequentialBackend", "ThreadingBackend")


def leaves_process(jobs: int) -> bool:
    """Whether work for so many jobs leaves this process: for more than one, or under a configuration of a cluster."""
    return jobs != 1 or _cluster_backend() is not None


def map_parts(
    function: Callable[..., Result], parts: Iterable[tuple[Any, ...]], jobs: int = 1, batch_size: int | str = 1
) -> Generator[Result, None, None]:
    """The results of ``function(*part)``, one at a time, in the order of the parts.

    Parameters
    ----------
    function
        What other processes can import, unless ``jobs`` is 1.
    parts
        The arguments of each call, taken as workers become free: memory is constant in their number.
    jobs
        Number of processes, -1 for one per core; 1 works in this process, unless joblib's configuration names a
        cluster, which works with all that it has.
    batch_size
        Parts that make a task; ``"auto"`` joins those that take less than a fraction of a second.

    Raises
    ------
    InputError
        For an invalid number of jobs, or a function that cannot be sent to another process.
    WorkerError
        When workers end in the middle, or run another version of this package.
    """
    jobs = check_jobs(jobs)
    backend = _cluster_backend()
    if jobs == 1 and backend is None:
        return (function(*part) for part in parts)
    if backend is not None:
        _check_sendable(function)
        if (client := getattr(backend, "client", None)) is not None:
            check_workers(client)
    return _explain(_run(function, parts, None if jobs == 1 else jobs, batch_size))


def _run(
    function: Callable[..., Result], parts: Iterable[tuple[Any, ...]], jobs: int | None, batch_size: int | str
) -> Generator[Result, None, None]:
    from joblib import Parallel, delayed

    failures: list[Exception] = []

    def tasks() -> Iterator[Any]:
        try:
            for part in parts:
                yield delayed(function)(*part)
        except Exception as error:  # raised below, when the workers are idle: joblib would kill them while they work
            failures.append(error)

    options: dict[str, Any] = {"n_jobs": jobs, "batch_size": batch_size, "pre_dispatch": f"{AHEAD} * n_jobs"}
    try:
        parallel: Any = Parallel(**options, return_as="generator")
    except ValueError:  # this backend gives lists alone, as Ray's does
        yield from _run_in_rounds(Parallel(**options), tasks())
    else:
        with closing(cast(Generator[Result, None, None], parallel(tasks()))) as results:
            yield from results
    if failures:
        raise failures[0]


def _run_in_rounds(parallel: Any, tasks: Iterator[Any]) -> Iterator[Any]:
    """A few parts for every worker at a time; meanwhile the next ones are read, and the results before are taken."""
    with parallel, ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as caller:
        size = ROUND * parallel._effective_n_jobs()

        def read() -> list[Any]:
            return list(islice(tasks, size))

        some = read()
        results: list[Any] = []
        while some:
            running, following = caller.submit(parallel, some), reader.submit(read)
            yield from results
            results, some = running.result(), following.result()
        yield from results


def _explain(results: Generator[Result, None, None]) -> Generator[Result, None, None]:
    """The results, with typed errors for what goes wrong between processes."""
    try:
        with closing(results):
            yield from results
    except PicklingError as error:
        raise _unsendable() from error
    except BrokenProcessPool as error:
        raise WorkerError(
            "a process ended while it worked",
            received=" ".join(str(error).split())[:200],
            remedy="Use jobs=1 if memory ran out; a function that ends its process must be fixed.",
        ) from error
    except (Exception, CancelledError) as error:
        if not type(error).__module__.startswith(("distributed", "dask", "ray")):
            raise
        raise WorkerError(
            "the cluster lost this work",
            received=f"{type(error).__name__}: {' '.join(str(error).split())}"[:200],
            remedy="Look at the workers' logs (memory, time limits), and run it again.",
        ) from error


def _cluster_backend() -> Any:
    """The backend that joblib's configuration names, where it is one of a cluster; else None."""
    if "joblib" not in sys.modules:  # then nobody has configured it, and it takes a while to import
        return None
    from joblib.parallel import get_active_backend

    backend = get_active_backend()[0]
    return None if type(backend).__name__ in _OF_THIS_MACHINE else backend


def _check_sendable(function: Any) -> None:
    try:
        cloudpickle = import_module("cloudpickle")
    except ImportError:  # older versions of joblib bring their own
        cloudpickle = import_module("joblib.externals.cloudpickle")
    try:
        cloudpickle.dumps(function)
    except (PicklingError, TypeError, AttributeError) as error:
        raise _unsendable() from error


def _unsendable() -> InputError:
    return InputError("this function cannot be sent to another process", remedy="Use jobs=1, without a cluster.")
