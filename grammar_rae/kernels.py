"""Numba's compiler with a cache that works wherever the package runs, imported when a kernel is first called.

The cache is where Numba finds a place for it: in ``NUMBA_CACHE_DIR``, beside the installed modules, or in the user's
cache folder. Where none of these can be written it is a folder of this user among the temporary files, and where that
cannot be had either, kernels are compiled in each process anew, which a warning says once.

That kernels have to be compiled is told once, by a warning of the logger ``grammar_rae``, where it takes long.

A cached kernel is used only if it, and every kernel that it calls, is what it was when it was compiled: Numba itself
looks at the file of the outer one alone. Processes take turns at the cache, and what cannot be read or written there
costs a compilation, never an error.

Where little is asked, :func:`for_few` gives the kernel's own function of Python instead, which needs no compiler.
"""

import contextlib
import hashlib
import logging
import os
import stat
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from grammar_rae.errors import DataError
from grammar_rae.locks import FolderLock

_WAIT = 60.0  # seconds for other processes' turns at the cache
_PACKAGE = __name__.partition(".")[0]
_SECONDS, _MANY = 0.5, 10  # that a kernel takes to compile, on average; from how many on it is told
_FEW, _PATIENCE = 64, 4.0  # rows that Python may be asked about at once; the seconds that it may take in a process
_LOG = logging.getLogger(_PACKAGE)
_warned = _told = False
_making = threading.RLock()
_uncompiled: dict[str, ModuleType] = {}  # copies of modules whose kernels are functions of Python
_spent = 0.0  # seconds, in these


def njit(*, cache: bool = False, **options: Any) -> "Callable[[Callable[..., Any]], Kernel]":
    """``numba.njit`` with the cache described above, when the kernel is first called; the options are Numba's."""

    def decorate(function: Callable[..., Any]) -> Kernel:
        return Kernel(function, cache, options)

    return decorate


class Kernel:
    """A function that Numba compiles when it is first called.

    Importing Numba and what it knows of NumPy takes a second or two, and much that is asked of a model needs no kernel.
    What a kernel has of Numba's (``stats``, ``signatures``) is there, too.
    """

    def __init__(self, function: Callable[..., Any], cache: bool, options: dict[str, Any]) -> None:
        self.py_func = function
        self._options = options
        self._cached = cache
        self._made: Any = None

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        return (self._made or self.made())(*arguments)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.made(), name)

    @property
    def is_made(self) -> bool:
        """Whether Numba's own object is there."""
        return self._made is not None

    def made(self) -> Any:
        """Numba's own object, and those of all kernels that it calls in the places where it looks for them."""
        with _making:
            if self._made is None:
                import numba
                from numba.core.dispatcher import Dispatcher

                for _, place, name in _read_by(self.py_func):
                    if isinstance(place[name], Kernel):
                        place[name] = place[name].made()
                kernel = numba.njit(**self._options)(self.py_func)
                if self._cached and isinstance(kernel, Dispatcher):  # with NUMBA_DISABLE_JIT it is the function itself
                    _enable_cache(kernel)
                self._made = kernel
            return self._made


def for_few(kernel: Any, rows: int) -> Callable[..., Any]:
    """Return a kernel that is to be asked about some rows, or :func:`in_python` of it where that is sooner done.

    To compile takes many seconds, to load what is compiled half a second, and to interpret a dozen molecules no more.
    So few rows are left to Python, until that has taken some seconds in a process, or the kernel is there anyway.
    """
    late = rows > _FEW or _spent >= _PATIENCE
    return kernel if late or not isinstance(kernel, Kernel) or kernel.is_made else in_python(kernel)


def in_python(kernel: Any) -> Callable[..., Any]:
    """Return a function of Python that answers as a kernel does, to the bit."""
    function = kernel.py_func
    with _making:
        uncompiled = getattr(_uncompiled_copy(sys.modules[function.__module__]), function.__name__)

    def ask(*arguments: Any) -> Any:
        global _spent
        began = time.thread_time()
        with np.errstate(over="ignore"):  # integers wrap around, as they do in compiled code
            found = uncompiled(*map(_as_view, arguments))
        _spent += time.thread_time() - began
        return found

    return ask


def _as_view(argument: Any) -> Any:
    """Return views of arrays of integers, also in tuples, whose numbers are those of Python.

    These have no largest one, where two of int16 could pass theirs in a sum; and to read one takes half the time.
    """
    if isinstance(argument, tuple):
        return tuple(map(_as_view, argument))
    if getattr(argument, "ndim", 0) not in (1, 2) or argument.dtype.kind not in "iu":
        return argument
    return memoryview(argument) if argument.ndim == 1 else _Rows(argument)


class _Rows:
    """A view of an array (B, N) of integers: by rows, or number by number."""

    def __init__(self, array: Any) -> None:
        self._array, self._view, self.shape = array, memoryview(array), array.shape

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, at: Any) -> Any:
        return self._view[at] if isinstance(at, tuple) else memoryview(self._array[at])

    def __setitem__(self, at: tuple[int, int], value: int) -> None:
        self._view[at] = value


def _uncompiled_copy(module: ModuleType) -> ModuleType:
    """Return a copy of a module in which kernels, also those of other modules, are functions of Python."""
    name = module.__name__
    if name not in _uncompiled:
        copy = _uncompiled[name] = ModuleType(name)
        for one, value in list(vars(module).items()):
            function = getattr(value, "py_func", None)
            if isinstance(value, ModuleType) and value.__name__.startswith(_PACKAGE):
                value = _uncompiled_copy(value)
            elif isinstance(function, FunctionType) and function.__module__ == name:
                value = FunctionType(function.__code__, vars(copy), function.__name__, function.__defaults__)
            elif isinstance(function, FunctionType):
                value = getattr(_uncompiled_copy(sys.modules[function.__module__]), function.__name__)
            setattr(copy, one, value)
    return _uncompiled[name]


def _names(code: CodeType) -> set[str]:
    """The names that some code reads, that of functions inside it too."""
    return set(code.co_names).union(*(_names(one) for one in code.co_consts if isinstance(one, CodeType)))


def _read_by(function: Callable[..., Any]) -> list[tuple[str, dict[str, Any], str]]:
    """What a function can read of its module and of others, in order: how it is called, where it is, its name there."""
    names, found = _names(function.__code__), []
    for name in sorted(names & function.__globals__.keys()):
        found.append((name, function.__globals__, name))
        value = function.__globals__[name]
        if isinstance(value, ModuleType) and value.__name__.startswith(_PACKAGE):
            found += [(f"{name}.{inner}", vars(value), inner) for inner in sorted(names & vars(value).keys())]
    return found


def code_digest(kernel: Any) -> bytes:
    """A digest of a kernel's code, of the constants that it reads, and of all kernels that it calls."""
    found = hashlib.sha256()
    _add_code(kernel.made() if isinstance(kernel, Kernel) else kernel, found, set())
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
        """The compiled kernel for a signature, or None; that it has to be compiled is told, where that takes long."""
        found = None
        with self._turn():
            found = self._cache.load_overload(signature, target)
        same = found is not None and tuple(found.signature.args) == tuple(getattr(signature, "args", signature))
        if not same:
            _tell_once(self._kernel)
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
    import numba

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


def _tell_once(kernel: Any) -> None:
    """Say how long a kernel and those that it calls take to compile, if it is seconds, once in a process."""
    global _told
    called: set[int] = set()
    if not _told:
        _add_code(kernel, hashlib.sha256(), called)
    if len(called) >= _MANY:
        _told = True
        _LOG.warning("compiling once, about %d s", _SECONDS * len(called))


def _warn(reason: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"{reason}; every process compiles anew, which takes a minute. Name a folder in NUMBA_CACHE_DIR.",
            stacklevel=2,
        )


def _add_code(kernel: Any, found: Any, seen: set[int]) -> None:
    from numba.core.dispatcher import Dispatcher

    if id(kernel) in seen:
        return
    seen.add(id(kernel))
    function = kernel.py_func
    found.update(repr(sorted(kernel.targetoptions.items(), key=str)).encode())
    _add_bytes(function.__code__, found)
    for name, place, inner in _read_by(function):
        value = place[inner]
        found.update(name.encode())
        if isinstance(value, Kernel):
            value = value.made()
        if isinstance(value, Dispatcher):
            _add_code(value, found, seen)
        elif isinstance(value, np.ndarray):
            found.update(f"{value.dtype} {value.shape}".encode() + value.tobytes())
        elif isinstance(value, ModuleType):
            found.update(value.__name__.encode())
        else:
            found.update(_plain(value))


def _add_bytes(code: CodeType, found: Any) -> None:
    """Add the code's instructions and constants, those of functions inside it too."""
    found.update(code.co_code + repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _add_bytes(constant, found)
        else:
            found.update(_plain(constant))


def _plain(value: Any) -> bytes:
    """A value as bytes that are the same in every process; nothing for what Numba does not take as a constant."""
    if isinstance(value, tuple):
        return b"(" + b",".join(map(_plain, value)) + b")"
    if isinstance(value, frozenset):
        return b"{" + b",".join(sorted(map(_plain, value))) + b"}"
    return repr(value).encode() if isinstance(value, int | float | complex | str | bytes | np.generic | None) else b""
