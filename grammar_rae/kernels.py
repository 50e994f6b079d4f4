"""Numba's compiler with a cache that works wherever the package runs.

The cache is where Numba finds a place for it: in ``NUMBA_CACHE_DIR``, beside the installed modules, or in the user's
cache folder. Where none of these can be written it is a folder of this user among the temporary files, and where that
cannot be had either, kernels are compiled in each process anew, which a warning says once.

A cached kernel is used only if it, and every kernel that it calls, is what it was when it was compiled: Numba itself
looks at the file of the outer one alone. Processes take turns at the cache, and what cannot be read or written there
costs a compilation, never an error.
"""

import contextlib
import hashlib
import os
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from grammar_rae.errors import DataError
from grammar_rae.locks import FolderLock

_WAIT = 60.0  # seconds for other processes' turns at the cache
_warned = False


def njit(*, cache: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` with the cache described above; the options are Numba's."""

    def decorate(function: Callable[..., Any]) -> Any:
        kernel = numba.njit(**options)(function)
        if cache and isinstance(kernel, Dispatcher):  # with NUMBA_DISABLE_JIT it is the function itself
            _enable_cache(kernel)
        return kernel

    return decorate


def code_digest(kernel: Any) -> bytes:
    """A digest of a kernel's code, of the constants that it reads, and of all kernels that it calls."""
    found = hashlib.sha256()
    _add_code(kernel, found, set())
    return found.digest()


class _SharedCache:
    """Numba's cache of one kernel, for many processes, and without errors of its own."""

    def __init__(self, kernel: Any, cache: Any) -> None:
        self._kernel = kernel
        self._cache = cache
        self._stamped = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The compiled kernel for a signature, or None."""
        found = None
        with self._turn():
            found = self._cache.load_overload(signature, target)
        same = found is not None and tuple(found.signature.args) == tuple(getattr(signature, "args", signature))
        return found if same else None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a compiled kernel."""
        with self._turn():
            self._cache.save_overload(signature, compiled)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            if not self._stamped:
                file = self._cache._cache_file
                file._source_stamp = (file._source_stamp, code_digest(self._kernel))
                self._stamped = True
            with FolderLock(self._cache.cache_path, "compiling", name=".kernels.lock", wait=_WAIT):
                yield
        except (OSError, DataError) as error:
            _warn(f"compiled code cannot be kept in {self._cache.cache_path} ({error})")
        except Exception:  # unpickling what a crash left behind raises anything
            with contextlib.suppress(OSError):
                self._cache.flush()


def _enable_cache(kernel: Any) -> None:
    try:
        kernel.enable_caching()
    except (RuntimeError, OSError):
        with _temporary_cache() as folder:
            if folder is None:
                _warn("there is no folder to keep compiled code in")
                return
            try:
                kernel.enable_caching()
            except (RuntimeError, OSError) as error:
                _warn(f"compiled code cannot be kept in {folder} ({error})")
                return
    kernel._cache = _SharedCache(kernel, kernel._cache)


@contextlib.contextmanager
def _temporary_cache() -> Iterator[Path | None]:
    """Let Numba use a folder among the temporary files; None where there is none that is this user's alone."""
    folder = _private_folder()
    config: Any = numba.config
    before = config.CACHE_DIR
    try:
        if folder is not None:
            config.CACHE_DIR = str(folder)
        yield folder
    finally:
        config.CACHE_DIR = before


def _private_folder() -> Path | None:
    # Cached code is code: it is read from no folder that somebody else could have filled.
    user = os.getuid() if hasattr(os, "getuid") else None
    try:
        folder = Path(tempfile.gettempdir()) / f"grammar_rae-kernels-{'' if user is None else user}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode):
        return None
    foreign = user is not None and (found.st_uid != user or found.st_mode & 0o077)
    return None if foreign else folder


def _warn(reason: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"{reason}; every process compiles anew, which takes a minute. Name a folder in NUMBA_CACHE_DIR.",
            stacklevel=2,
        )


def _add_code(kernel: Any, found: Any, seen: set[int]) -> None:
    if id(kernel) in seen:
        return
    seen.add(id(kernel))
    function = kernel.py_func
    found.update(repr(sorted(kernel.targetoptions.items(), key=str)).encode())
    names = _add_bytes(function.__code__, found)
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        found.update(name.encode())
        if isinstance(value, Dispatcher):
            _add_code(value, found, seen)
        elif isinstance(value, np.ndarray):
            found.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
        elif isinstance(value, ModuleType):
            found.update(value.__name__.encode())
        else:
            found.update(_plain(value))


def _add_bytes(code: CodeType, found: Any) -> set[str]:
    """Add the code's instructions and constants, those of functions inside it too; the names that they read."""
    found.update(code.co_code + repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _add_bytes(constant, found)
        else:
            found.update(_plain(constant))
    return names


def _plain(value: Any) -> bytes:
    """A value as bytes that are the same in every process; nothing for what Numba does not take as a constant."""
    if isinstance(value, tuple):
        return b"(" + b",".join(map(_plain, value)) + b")"
    if isinstance(value, frozenset):
        return b"{" + b",".join(sorted(map(_plain, value))) + b"}"
    return repr(value).encode() if isinstance(value, int | float | complex | str | bytes | np.generic | None) else b""
