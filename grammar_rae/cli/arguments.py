"""Arguments that several commands share, and the reading of their values."""

import json
import math
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from grammar_rae.cluster import on_cluster
from grammar_rae.errors import DataError, InputError
from grammar_rae.resources import DEFAULT_MODEL, bundled_models, model_folder
from grammar_rae.seeds import LARGEST_SEED

_ARRAYS = {b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz"}  # how files of numbers begin
_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(s|m|min|h|)\s*", re.IGNORECASE)


def seconds(text: str) -> float:
    """A duration such as ``90``, ``90s``, ``10m`` or ``2h`` in seconds.

    >>> seconds("10m"), seconds("1.5h"), seconds("90")
    (600.0, 5400.0, 90.0)
    """
    match = _DURATION.fullmatch(text)
    value = float(match[1]) * _UNITS[match[2].lower()] if match else math.nan
    if not 0 < value < math.inf:
        raise typer.BadParameter(f"expected a duration such as 90, 90s, 10m or 2h, not {text!r}")
    return value


def names(text: str) -> list[str]:
    """The names in a list such as ``qed,logp, sa``, each once.

    >>> names("qed,logp, sa,qed")
    ['qed', 'logp', 'sa']
    """
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def constraint_text(rules: list[str] | None) -> str | None:
    """The rules of a constraint, from one option or several, as one text.

    >>> constraint_text(["chemistry", "max-heavy-atoms=38; elements=CNO"])
    'chemistry; max-heavy-atoms=38; elements=CNO'
    """
    return "; ".join(rules) if rules else None


def folder(text: str | Path) -> Path:
    """A path; an empty one, which would be the current folder, is refused."""
    if not str(text).strip():
        raise typer.BadParameter("expected a folder, not an empty text")
    return Path(text)


def readable(path: Path | None) -> Path | None:
    """A file that can be read twice: of the standard input (``-``), a FIFO or a device a copy, until the command ends.

    The name of what was copied says its format where it can, else its first bytes do, and the command says so.
    """
    from grammar_rae.files import is_special

    if path is None or (str(path) != "-" and not is_special(path)):
        return path
    from grammar_rae.datasets.formats import guess_suffix

    return _copy(path, lambda packed, start: guess_suffix(start))


def readable_table(path: Path) -> Path:
    """The same for a table or latent codes, which are CSV unless the first bytes say otherwise."""
    from grammar_rae.files import is_special

    if str(path) != "-" and not is_special(path):
        return path
    from grammar_rae.datasets.formats import guess_suffix

    def guess(packed: bytes, start: bytes) -> str:
        found = guess_suffix(start)
        array = next((suffix for magic, suffix in _ARRAYS.items() if packed.startswith(magic)), None)
        return array or (".csv" if found == ".smi" else found)

    return _copy(path, guess)


def _copy(path: Path, guess: Callable[[bytes, bytes], str]) -> Path:
    import atexit
    import shutil
    import sys
    import tempfile

    from grammar_rae.compression import unpacking
    from grammar_rae.formats import suffix_of

    if str(path) == "-" and sys.stdin is None:
        raise typer.BadParameter("the standard input is closed")
    source = sys.stdin.buffer if str(path) == "-" else path.open("rb")
    with source, tempfile.NamedTemporaryFile(prefix="grammar-rae-", delete=False) as copy:
        atexit.register(Path(copy.name).unlink, missing_ok=True)
        shutil.copyfileobj(source, copy)
    try:
        suffix = suffix_of(path)
    except DataError:
        with open(copy.name, "rb") as raw:
            packed = raw.peek(8)[:8]
            with unpacking(path, raw) as inside:
                suffix = guess(packed, inside.read(4096))
        if suffix != ".smi":
            typer.echo(f"reading the {'standard input' if str(path) == '-' else path} as {suffix}", err=True)
    named = Path(copy.name).with_suffix(suffix)
    os.rename(copy.name, named)
    atexit.register(named.unlink, missing_ok=True)
    return named


def _move_work(context: typer.Context, where: str) -> str:
    """Let all parallel work of a command go to a cluster until the command ends."""
    if not context.resilient_parsing:
        context.with_resource(on_cluster(where))
    return where


def completing(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """What a shell offers for the beginning of a name."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


Trained = Annotated[
    Path,
    typer.Option(
        "-m", "--model", parser=folder, metavar="PATH", help="The folder of a trained model.", show_default=False
    ),
]
Model = Annotated[
    Path,
    typer.Option(
        "-m",
        "--model",
        parser=folder,
        metavar="PATH",
        help="The folder of a trained model, or a name from `grammar-rae list models`.",
        callback=model_folder,
        autocompletion=completing(bundled_models),
    ),
]
IN_THE_BOX = Path(DEFAULT_MODEL)
"""The default of :data:`Model`."""
Texts = Annotated[
    Path,
    typer.Argument(
        help="A file of texts: .smi, .txt, .csv, .tsv, .sdf (each also .gz, .bz2, .xz, .zst, .zip), .parquet or "
        ".feather; - is the standard input.",
        show_default=False,
        callback=readable,
    ),
]
Fragments = Annotated[
    str | None,
    typer.Option(
        help="What to do with molecules of several parts: refuse, largest or keep; without it, as the model does.",
        show_default=False,
    ),
]
Polish = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="How many steps at most move a code from which its text does not come back; 0 is quicker; without it, as "
        "the model does.",
        show_default=False,
    ),
]
Column = Annotated[
    str | None,
    typer.Option(
        help="The column of a table that holds the texts; a column of SMILES is found automatically.",
        show_default=False,
    ),
]
Html = Annotated[Path | None, typer.Option(help="An HTML page to write with the molecules.", show_default=False)]
Constraint = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULES",
        help='The rules that every text has to keep, for example "chemistry; max-heavy-atoms=38"; may be repeated; '
        "`grammar-rae list constraints` shows all. Without it, the model's own.",
        show_default=False,
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        help="The temperature of the decoder: below 1 bolder, above 1 more varied; without it, the model's own.",
        show_default=False,
    ),
]
Properties = Annotated[
    list[str] | None,
    typer.Option(
        "--property",
        help="A property to ask for, NAME=VALUE or NAME=LOW:HIGH, for example weight=300:350; repeat for several.",
        show_default=False,
    ),
]
Scores = Annotated[
    str, typer.Option(help="The scores to add as columns, for example qed,logp,sa; `grammar-rae list scores`.")
]
TopP = Annotated[
    float | None,
    typer.Option(
        help="The share of probability that the likeliest tokens to draw from hold together, at most 1; "
        "without it, the model's own.",
        show_default=False,
    ),
]
Smoothing = Annotated[
    float | None,
    typer.Option(
        help="The strength of the noise on the latent codes, for models that are trained with it; "
        "without it, the model's own.",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        help="The file to write, in the format of its suffix: .csv, .tsv, .sdf or, texts alone, .smi, .txt (each also "
        ".gz, .bz2, .xz, .zst, .zip), .parquet or .feather; - is CSV on the standard output.",
    ),
]
Jobs = Annotated[int, typer.Option(help="The number of processes; -1 for one per core.")]
Threads = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="The number of threads of each process; auto: the cores that are free now. Without it, OMP_NUM_THREADS or "
        "all cores.",
        show_default=False,
    ),
]
Cluster = Annotated[
    str,
    typer.Option(
        help="Where parallel work goes: local, dask:tcp://HOST:PORT (a scheduler) or ray:auto.", callback=_move_work
    ),
]
"""It acts in its callback: commands need only have it."""
StartTexts = Annotated[
    Path | None,
    typer.Option(
        help="A file to start from; without it, the training data or the model's draws.",
        show_default=False,
        callback=readable,
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(parser=seconds, metavar="DURATION", help="The longest time to train, for example 90s, 10m or 2h."),
]
Epochs = Annotated[
    int | None, typer.Option(min=1, help="The number of passes over the data; without it, the recipe's own.")
]
Seed = Annotated[
    int, typer.Option(min=0, max=LARGEST_SEED, help="The random seed: the same seed gives the same result.")
]
OptionalSeed = Annotated[
    int | None,
    typer.Option(
        min=0, max=LARGEST_SEED, help="The random seed: the same seed gives the same result.", show_default=False
    ),
]
Wanted = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SMARTS", help="A pattern that every molecule must have; may be repeated.", show_default=False
    ),
]
Unwanted = Annotated[
    list[str] | None,
    typer.Option(metavar="SMARTS", help="A pattern that no molecule may have; may be repeated.", show_default=False),
]


def read_properties(asked: list[str] | None) -> dict[str, float | tuple[float, float]]:
    """The properties of ``--property`` options.

    Raises
    ------
    InputError
        For one that cannot be read, or that comes twice.
    """
    found: dict[str, float | tuple[float, float]] = {}
    for text in asked or ():
        name, _, value = text.partition("=")
        try:
            numbers = [float(part) for part in value.split(":")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 2) or name in found:
            raise InputError(
                "--property cannot be read" if name not in found else f"--property asks for {name} twice",
                received=repr(text),
                expected="NAME=VALUE or NAME=LOW:HIGH",
            )
        found[name] = numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])
    return found


def read_settings(options: list[str] | None) -> dict[str, Any]:
    """The settings of ``--set`` options: what JSON reads in a value, or else the value as a text.

    >>> read_settings(["n_components=20", "solver=torch"])
    {'n_components': 20, 'solver': 'torch'}

    Raises
    ------
    InputError
        For one that cannot be read, or that comes twice.
    """
    found: dict[str, Any] = {}
    for text in options or ():
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not name.isidentifier() or name in found:
            raise InputError(
                f"--set says {name} twice" if name in found else "--set cannot be read",
                received=repr(text),
                expected="NAME=VALUE, each name once, for example latent=32",
            )
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value.strip()
    return found
