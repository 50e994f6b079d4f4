"""The batch files of CIFAR-10, binary or for Python; the pickles of the latter are read without being run."""

import pickletools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from grammar_rae.datasets.images import ImageDataset, ImageSet
from grammar_rae.errors import DataError

SHAPE = (3, 32, 32)
CLASSES = 10
_PIXELS = 3072
_TRAIN, _TEST = tuple(f"data_batch_{number}" for number in range(1, 6)), ("test_batch",)

_Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def read_batches(folder: Path) -> ImageSet | None:
    """Read CIFAR-10 from a folder with its batch files, in either version; None if the first file is missing.

    Both versions are described on the data set's page: in the binary one a record is a byte for the label and 3072 for
    the planes of red, green and blue. Raises DataError for missing, damaged or other files.
    """
    readers: tuple[tuple[str, Callable[[Path], _Batch]], ...] = ((".bin", _binary_batch), ("", _python_batch))
    for suffix, read in readers:
        if (folder / (_TRAIN[0] + suffix)).is_file():
            train, test = (_part([folder / (name + suffix) for name in names], read) for names in (_TRAIN, _TEST))
            return ImageSet(train, test)
    return None


def _part(paths: list[Path], read: Callable[[Path], _Batch]) -> ImageDataset:
    images, labels = [], []
    for path in paths:
        try:
            pixels, numbers = read(path)
        except OSError as error:
            raise DataError(f"the batch cannot be read ({error.strerror or error})", where=str(path)) from error
        if not len(pixels) or len(pixels) != len(numbers) or numbers.min() < 0 or numbers.max() >= CLASSES:
            raise _damage_error(path, "the images do not fit their labels")
        images.append(pixels)
        labels.append(numbers)
    return ImageDataset(np.concatenate(images).reshape(-1, *SHAPE), np.concatenate(labels))


def _binary_batch(path: Path) -> _Batch:
    content = np.fromfile(path, np.uint8)
    if len(content) % (1 + _PIXELS):
        raise _damage_error(path, f"its {len(content)} bytes are not a whole number of records of {1 + _PIXELS}")
    records = content.reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _python_batch(path: Path) -> _Batch:
    content = path.read_bytes()
    try:
        batch = _Reader().read(content)
        return _array(batch["data"]), np.array([_integer(label) for label in batch["labels"]], dtype=np.int64)
    except _RefusedError as error:
        raise DataError(
            f"the file is not a batch of CIFAR-10: it holds {error}, which is never read or run",
            where=str(path),
            remedy="Download the data set from its own page, or use its binary version.",
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, struct.error) as error:
        # Moving values between a stack and a table can raise nothing else, whatever the bytes are.
        raise _damage_error(path, str(error)) from error


def _damage_error(path: Path, reason: str) -> DataError:
    return DataError(f"the batch of CIFAR-10 is damaged ({reason})", where=str(path), remedy="Download it again.")


# --- pickles, read as data -------------------------------------------------------------------------------------------
# A pickle is a program for a stack machine. pickletools lists its instructions; those that such a batch consists of are
# followed here, with one difference: names are never looked up or called, only recorded.


class _RefusedError(Exception):
    """An instruction or a name that a batch of images never needs."""


@dataclass
class _Call:
    """A call that a pickle asks for, recorded: the name, the arguments and the state set afterwards."""

    name: str
    arguments: Any = None
    state: Any = None


_NAMES = {
    f"{module} {name}": name
    for name, modules in {
        "_reconstruct": ("numpy.core.multiarray", "numpy._core.multiarray"),
        "_frombuffer": ("numpy.core.numeric", "numpy._core.numeric"),
        "ndarray": ("numpy",),
        "dtype": ("numpy",),
        "encode": ("_codecs",),  # bytes of Python 3 in an old protocol are text with an encoding
    }.items()
    for module in modules
}
_LITERALS = {"BININT", "BININT1", "BININT2", "SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES"}
_LITERALS |= {"BINBYTES8", "BYTEARRAY8", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = {"PROTO", "FRAME", "STOP"}
_PUT, _GET = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"BINGET", "LONG_BINGET"}
_MARK = object()


class _Reader:
    """The stack and the table of values seen before."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self, content: bytes) -> dict[str, Any]:
        for opcode, argument, _ in pickletools.genops(content):
            self._step(opcode.name, argument)
        (batch,) = self.stack
        if not isinstance(batch, dict):
            raise TypeError("not a table of images and labels")
        return batch

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _PUT:
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in _GET:
            stack.append(self.memo[argument])
        elif name in _TUPLES:
            items = [stack.pop() for _ in range(_TUPLES[name])]
            stack.append(tuple(reversed(items)))
        elif (follow := _STEPS.get(name)) is not None:
            follow(self, argument)
        elif name not in _IGNORED:
            raise _RefusedError(f"the instruction {name}")

    def _since_mark(self) -> list[Any]:
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _name(self, full: str) -> None:
        if full not in _NAMES:
            raise _RefusedError(f"the name {full.replace(' ', '.')}")
        self.stack.append(_Call(_NAMES[full]))

    def _name_on_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._name(f"{_text(module)} {_text(name)}")

    def _call(self) -> None:
        arguments, called = self.stack.pop(), self.stack.pop()
        self.stack.append(_Call(called.name, arguments))

    def _build(self) -> None:
        state = self.stack.pop()
        self.stack[-1].state = state

    def _append(self, items: list[Any]) -> None:
        self.stack[-1].extend(items)

    def _set(self, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.stack[-1][_text(key)] = value


_STEPS: dict[str, Callable[[_Reader, Any], None]] = {
    "MARK": lambda reader, _: reader.stack.append(_MARK),
    "EMPTY_LIST": lambda reader, _: reader.stack.append([]),
    "EMPTY_DICT": lambda reader, _: reader.stack.append({}),
    "TUPLE": lambda reader, _: reader.stack.append(tuple(reader._since_mark())),
    "APPEND": lambda reader, _: reader._append([reader.stack.pop()]),
    "APPENDS": lambda reader, _: reader._append(reader._since_mark()),
    "SETITEM": lambda reader, _: reader._set([reader.stack.pop(), reader.stack.pop()][::-1]),
    "SETITEMS": lambda reader, _: reader._set(reader._since_mark()),
    "GLOBAL": lambda reader, full: reader._name(full),
    "STACK_GLOBAL": lambda reader, _: reader._name_on_stack(),
    "REDUCE": lambda reader, _: reader._call(),
    "BUILD": lambda reader, _: reader._build(),
}


def _text(value: Any) -> str:
    # Nothing else is a key or a name: hashing or printing deeply nested values would end the process.
    if not isinstance(value, str | bytes):
        raise TypeError("a key or a name is not text")
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("a label is not an integer")
    return value


def _array(call: Any) -> npt.NDArray[np.uint8]:
    """The images (N, 3072) that a recorded call would make."""
    if not isinstance(call, _Call):
        raise TypeError("the images are not an array")
    if call.name == "_frombuffer":
        buffer, kind, shape, order = call.arguments
    else:
        _, shape, kind, fortran, buffer = call.state
        order = "F" if fortran else "C"
    if kind.name != "dtype" or kind.arguments[0] not in ("u1", b"u1") or order != "C":
        raise ValueError("the images are not rows of bytes")
    count, width = (_integer(size) for size in shape)
    data = _bytes(buffer)
    if width != _PIXELS or len(data) != count * _PIXELS:
        raise ValueError(f"{len(data)} bytes do not hold {count} images")
    return np.frombuffer(data, np.uint8).reshape(count, width)


def _bytes(value: Any) -> bytes:
    if isinstance(value, _Call) and value.name == "encode":
        value = value.arguments[0]
    # pickletools gives the strings of Python 2 as text, one character per byte.
    return value.encode("latin-1") if isinstance(value, str) else bytes(memoryview(value))
