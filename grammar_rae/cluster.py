"""Where parallel work goes: this machine, or the workers of a Dask or Ray cluster.

joblib is the seam. Whatever runs in parallel goes through it with no backend named (:mod:`grammar_rae.parallel`), so
``joblib.parallel_config`` moves all of it; :func:`on_cluster` does that by a name, once it has asked whether the
workers are there and run the same version of this package.
"""

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any

from grammar_rae.errors import InputError, MissingExtraError, UnknownNameError, WorkerError

WAIT = 15.0
"""Seconds to wait for a scheduler to answer, and again for its first worker."""

MESSAGES = 10
"""Messages to the scheduler that a Dask client of ours keeps for debugging; 1,000 by Dask, each with a part's rows."""

_REMEDY = "Install the same version of grammar_rae for every worker, and start the workers again."
_PACKAGE = __name__.partition(".")[0]
_checked: "weakref.WeakSet[Any]" = weakref.WeakSet()  # clients whose workers were asked already


def on_cluster(where: str) -> AbstractContextManager[None]:
    """A context in which parallel work goes to a cluster.

    Parameters
    ----------
    where
        ``"local"`` for processes of this machine; ``"dask:tcp://host:8786"``, the address of a Dask scheduler; or
        ``"ray:auto"``, or ``"ray:host:6379"``, a Ray cluster.

    Raises
    ------
    UnknownNameError
        For another kind of cluster.
    InputError
        For a Dask scheduler or Ray cluster without an address, or an address of this machine.
    MissingExtraError
        Without Dask or Ray.
    WorkerError
        When nothing answers at the address, there are no workers, or they run another version of this package.
    """
    kind, _, address = where.partition(":")
    if kind not in CLUSTERS:
        raise UnknownNameError("kind of cluster", kind, CLUSTERS)
    if bool(address) != (kind != "local"):
        expected = "local alone" if kind == "local" else EXAMPLES[kind]
        raise InputError("this is no address of a cluster", received=repr(where), expected=expected)
    return CLUSTERS[kind](address)


@contextmanager
def _dask(address: str) -> Iterator[None]:
    distributed = _require("distributed", "dask")
    config = import_module("dask").config
    from joblib import parallel_config

    where = f"dask:{address}"
    try:
        with config.set({"distributed.admin.low-level-log-length": MESSAGES}):
            client = distributed.Client(address, timeout=WAIT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise _unreachable(where, error) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT)
        except TimeoutError as error:
            raise WorkerError(
                "the scheduler has no workers",
                where=where,
                remedy=f"Start one: dask worker {address} --nthreads 1",
            ) from error
        check_workers(client, where)
        with parallel_config(backend="dask", client=client, n_jobs=-1):
            yield


@contextmanager
def _ray(address: str) -> Iterator[None]:
    ray = _require("ray", "ray")
    from joblib import parallel_config

    where, mine = f"ray:{address}", not ray.is_initialized()
    try:
        if mine:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(where, error) from error
    try:
        _compare(_ask_nodes(ray), where)
        import_module("ray.util.joblib").register_ray()
        with parallel_config(backend="ray", n_jobs=-1):
            yield
    finally:
        if mine:
            ray.shutdown()


CLUSTERS: dict[str, Callable[[str], AbstractContextManager[None]]] = {
    "local": lambda address: nullcontext(),
    "dask": _dask,
    "ray": _ray,
}
"""Kind of cluster -> the context of an address of that kind."""

EXAMPLES = {"dask": "dask:tcp://host:8786", "ray": "ray:auto or ray:host:6379"}


def check_workers(client: Any, where: str | None = None) -> None:
    """Raise WorkerError unless all workers of a Dask client run this version of the package; they are asked once."""
    if client in _checked:
        return
    _compare(client.run(_version_asker(), on_error="return"), where or str(client.scheduler.address))
    _checked.add(client)


def _ask_nodes(ray: Any) -> dict[str, Any]:
    """The version on each node of a Ray cluster."""
    strategies = import_module("ray.util.scheduling_strategies")
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    asker = ray.remote(num_cpus=0)(_version_asker())
    asked = {
        node: asker.options(scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(node, soft=False)).remote()
        for node in nodes
    }
    return {node: ray.get(answer) for node, answer in asked.items()}


def _version_asker() -> Callable[[], str | None]:
    """A function that workers can run without this package: as it is nested, it travels by its content."""
    package = _PACKAGE

    def ask() -> str | None:
        from importlib import import_module

        try:
            return str(import_module(package).__version__)
        except ImportError:
            return None

    return ask


def _compare(found: Mapping[str, Any], where: str) -> None:
    here = import_module(_PACKAGE).__version__
    for worker, version in found.items():
        if version == here:
            continue
        if version is None or isinstance(version, BaseException):
            raise WorkerError(
                "a worker cannot import grammar_rae",
                where=f"{where}, {worker}",
                received=None if version is None else f"{type(version).__name__}: {version}",
                expected=f"version {here}",
                remedy=_REMEDY,
            )
        raise WorkerError(
            "a worker has another version of grammar_rae",
            where=f"{where}, {worker}",
            received=f"version {version}",
            expected=f"version {here}, as here",
            remedy=_REMEDY,
        )


def _require(package: str, extra: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingExtraError(package, extra, f"work on a cluster of {extra.capitalize()}") from error


def _unreachable(where: str, error: Exception) -> WorkerError:
    reason = str(error).strip().splitlines()
    return WorkerError(
        "the cluster cannot be reached",
        where=where,
        received=reason[0] if reason else type(error).__name__,
        remedy="Look at the address, and whether a scheduler runs there.",
    )
