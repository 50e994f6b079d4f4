"""Runs as TOML files: what a command was asked, to be read by ``--config`` and written beside its results.

A file holds a command's options by their long names, ``-`` or ``_`` alike, and its file as ``texts``; what the command
line says itself comes first. What ``--set`` and ``--property`` take may be a table.
"""

import json
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from grammar_rae.cli import files
from grammar_rae.errors import DataError, InputError, UnknownNameError
from grammar_rae.resources import bundled_model, bundled_models

COMMAND, RUN = "command", "run.toml"
_OWN = ("config", "help")
_LARGEST = 2**20  # bytes of a file


def read_run(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make the entries of a file the defaults of a command's options.

    Raises
    ------
    DataError
        For a file that cannot be read as TOML.
    UnknownNameError
        For an entry that is no option of the command.
    InputError
        For entries that contradict each other, or that no option takes.
    """
    if path is not None and not ctx.resilient_parsing:
        ctx.default_map = _defaults(path, ctx.info_name or "", ctx.command.params)
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        help="A TOML file of this command's options; the command line comes first.",
        is_eager=True,
        callback=read_run,
        show_default=False,
    ),
]


def record(ctx: typer.Context, path: Path, **resolved: Any) -> None:
    """Where a command was read from a file, write all that it was asked, as a file that runs again.

    Parameters
    ----------
    path
        The file to write.
    resolved
        What the command chose itself, such as a seed or a folder, by the names of its arguments.
    """
    if ctx.params.get("config") is not None:
        files.write_text(path, run_toml(ctx.info_name or "", ctx.command.params, ctx.params | resolved))
        files.note(f"{path} runs this again: --config {path}")


def run_toml(command: str, parameters: list[Any], values: Mapping[str, Any]) -> str:
    """What a command was asked, as TOML; options that were left out are not in it."""
    lines = [f"{COMMAND} = {json.dumps(command)}"]
    for parameter in parameters:
        value = values.get(parameter.name)
        given = value is not None and not (isinstance(value, list | tuple) and not value)
        if given and parameter.name not in _OWN:
            lines.append(f"{_key(parameter)} = {json.dumps(_plain(value), ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def _key(parameter: Any) -> str:
    """The longest name of an option, or the name of an argument."""
    return str(max(parameter.opts, key=len)).lstrip("-").replace("_", "-")


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        if value.parent == Path(tempfile.gettempdir()) and value.name.startswith("grammar-rae-"):
            return "-"  # the copy of the standard input
        return next((name for name in bundled_models() if bundled_model(name) == value), str(value))
    return value


def _defaults(path: Path, command: str, parameters: list[Any]) -> dict[str, Any]:
    entries = _read(path)
    meant = entries.pop(COMMAND, command)
    if meant != command:
        raise InputError("this file is of another command", received=repr(meant), expected=command, where=str(path))
    keys: dict[str, tuple[Any, bool]] = {}
    for parameter in (one for one in parameters if one.name not in _OWN):
        keys |= {word.lstrip("-"): (parameter, True) for word in parameter.opts}
        keys |= {word.lstrip("-"): (parameter, False) for word in parameter.secondary_opts}
    found: dict[str, Any] = {}
    said: dict[str, str] = {}
    for entry, value in entries.items():
        key = entry.replace("_", "-")
        if key not in keys:
            error = UnknownNameError(f"option of {command}", entry, keys, f"`grammar-rae {command} --help`")
            error.where = str(path)
            raise error
        parameter, positive = keys[key]
        if parameter.name in said:
            raise InputError(
                "two entries say the same", received=f"{said[parameter.name]} and {entry}", where=str(path)
            )
        said[parameter.name] = entry
        found[parameter.name] = _value(path, entry, value, parameter, positive)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError("the file is too large for a run", where=str(path), expected=f"at most {_LARGEST:,} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError("there is no such file", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"the file cannot be read as TOML ({error})", where=str(path)) from error


def _value(path: Path, entry: str, value: Any, parameter: Any, positive: bool) -> Any:
    """An entry as the command line would have it, in words; its type is checked there."""
    flag = getattr(parameter, "is_flag", False)
    if isinstance(value, bool) != flag:
        raise _unusable(path, entry, value, "true or false" if flag else "a text or a number")
    if flag:
        return value == positive
    if getattr(parameter, "multiple", False):
        if isinstance(value, dict):
            return [f"{name}={_word(path, entry, one, ':')}" for name, one in value.items()]
        return [_word(path, entry, one) for one in (value if isinstance(value, list) else [value])]
    return _word(path, entry, value, ",")


def _word(path: Path, entry: str, value: Any, between: str = "") -> str:
    if isinstance(value, list) and between and not any(isinstance(one, list) for one in value):
        return between.join(_word(path, entry, one) for one in value)
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise _unusable(path, entry, value, "a text or a number")
    return str(value)


def _unusable(path: Path, entry: str, value: Any, expected: str) -> InputError:
    return InputError(f"{entry} cannot be used", received=repr(value), expected=expected, where=str(path))
