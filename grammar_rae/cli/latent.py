"""Between texts and latent codes: ``encode``, ``decode``, ``reconstruct``."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grammar_rae.cli import arguments, files, formats, preflight, sharding, terminal
from grammar_rae.errors import DataError, InputError

if TYPE_CHECKING:
    from grammar_rae.model.streaming import EncodedRecords, RecordEncoder

Nearest = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Encode each text again, and where its code is another, try so many more texts for the nearest one.",
        show_default=False,
    ),
]


def encode(
    texts: Annotated[
        list[Path],
        typer.Argument(
            metavar="TEXTS...",
            help="A file of texts, or - for the standard input; into a folder, files, folders and globs such as "
            "'parts/*.parquet'.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="The file to write: .npy or .npz (codes alone), or a table such as .csv or .parquet (with line, text "
            "and the other columns of the file); - is CSV on the standard output. A folder, such as shards/, gets the "
            "texts' tokens for trainings, in shards, and goes on with them.",
        ),
    ],
    model: arguments.Model = arguments.IN_THE_BOX,
    column: arguments.Column = None,
    unknown: Annotated[
        str,
        typer.Option(
            help="What to do about texts with atoms, marks or tokens that the model was not trained on: warn, "
            "refuse or ignore."
        ),
    ] = "warn",
    fragments: arguments.Fragments = None,
    polish: Annotated[
        int,
        typer.Option(
            min=0,
            help="How many steps at most move a code from which its text does not come back, for example 16; 0, the "
            "quickest, leaves codes as the encoder gives them.",
        ),
    ] = 0,
    jobs: arguments.Jobs = -1,
    threads: arguments.Threads = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Into a folder: the recipe whose codec is learned from the texts; without it, the model's codec.",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(min=1, help="Into a folder: the rows of a shard; without it, a million.", show_default=False),
    ] = None,
    duplicates: Annotated[
        str | None,
        typer.Option(
            help="Into a folder: whether to keep or drop rows that are the same molecule as an earlier one.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Encode texts to latent codes, or many files for a training."""
    preflight.limit_threads(threads)
    if sharding.names_folder(output):
        if unknown != "warn":
            raise InputError("a folder gets tokens, of which no model knows more", received=f"--unknown {unknown}")
        kept = duplicates or "keep"
        sharding.encode_folder(texts, Path(output), model, recipe, column, fragments, kept, rows, jobs)
        return
    for name, value in zip(sharding.OF_FOLDERS, (recipe, rows, duplicates), strict=True):
        if value is not None:
            raise InputError(f"{name} is for shards in a folder", remedy="Name one: -o shards/")
    if len(texts) > 1:
        raise InputError(
            "a file of codes is made of one file of texts",
            received=f"{len(texts)} files",
            remedy="Name a folder to encode them for a training: -o shards/",
        )
    source = arguments.readable(texts[0])
    assert source is not None
    _encode_file(source, Path(output), model, column, unknown, fragments, polish, jobs)


def _encode_file(
    texts: Path,
    output: Path,
    model: Path,
    column: str | None,
    unknown: str,
    fragments: str | None,
    polish: int,
    jobs: int,
) -> None:
    """Write the latent codes of a file's texts."""
    files.check_writable(output, formats=(*formats.TABLES, *formats.ARRAYS))
    preflight.check_file(texts)
    preflight.check_model(model)
    from grammar_rae.model import TextModel

    loaded = TextModel.load(model)
    names, encoder = open_records(loaded, texts, column, unknown, fragments, polish, jobs)
    alone = formats.output_format(output, (*formats.TABLES, *formats.ARRAYS)) in formats.ARRAYS
    with ExitStack() as stack:
        write: Callable[[Any], None] = stack.enter_context(
            (files.writing_codes if alone else files.writing_tables)(output)
        )
        for part in parts_with_codes(encoder, texts, output):
            write(part.codes if alone else code_table(names, part))
    files.tell_changed(encoder.changed)
    files.note(f"encoded {encoder.encoded} texts")
    terminal.report(encoded=encoder.encoded, left_out=encoder.left_out, output=output)


def decode(
    codes: Annotated[
        Path,
        typer.Argument(
            help="A file of latent codes as encode writes it; - is the standard input.",
            show_default=False,
            callback=arguments.readable_table,
        ),
    ],
    model: arguments.Model = arguments.IN_THE_BOX,
    output: arguments.Output = files.STDOUT,
    temperature: Annotated[
        float, typer.Option(help="The temperature of the decoder; at 0 it takes the likeliest token at each step.")
    ] = 0.0,
    top_p: Annotated[
        float, typer.Option(help="The share of probability that the likeliest tokens to draw from hold together.")
    ] = 1.0,
    beam: Annotated[
        int | None, typer.Option(help="The width of a search for the likeliest text.", show_default=False)
    ] = None,
    nearest: Nearest = None,
    seed: arguments.OptionalSeed = None,
    smoothing: Annotated[
        float, typer.Option(help="The strength of the noise on the codes, for models that are trained with it.")
    ] = 0.0,
    constraint: arguments.Constraint = None,
) -> None:
    """Decode latent codes to texts."""
    files.check_writable(output, formats=(*formats.TABLES, *formats.TEXTS))
    preflight.check_constraint(constraint)
    preflight.check_file(codes)
    preflight.check_model(model)
    from grammar_rae.model import TextModel

    z = files.read_codes(codes)
    rules = arguments.constraint_text(constraint)
    texts = TextModel.load(model).decode(
        z,
        temperature=temperature,
        top_p=top_p,
        beam=beam,
        nearest=nearest,
        seed=seed,
        constraint=rules,
        smoothing=smoothing,
    )
    terminal.report(**files.write_result(output, {"smiles": texts}))


def reconstruct(
    texts: arguments.Texts,
    model: arguments.Model = arguments.IN_THE_BOX,
    output: arguments.Output = files.STDOUT,
    column: arguments.Column = None,
    constraint: arguments.Constraint = None,
    nearest: Nearest = None,
    seed: arguments.Seed = 0,
    fragments: arguments.Fragments = None,
    polish: arguments.Polish = None,
    jobs: arguments.Jobs = -1,
) -> None:
    """Encode and decode texts, and report how many come back."""
    files.check_writable(output, formats=formats.TABLES)
    preflight.check_constraint(constraint)
    preflight.check_file(texts)
    preflight.check_model(model)
    from grammar_rae.datasets import join_columns
    from grammar_rae.model import TextModel
    from grammar_rae.model.polishing import choose_polish
    from grammar_rae.model.results import describe_share, is_same

    loaded = TextModel.load(model)
    names, encoder = open_records(loaded, texts, column, "warn", fragments, choose_polish(polish, nearest), jobs)
    rules, exact = arguments.constraint_text(constraint), 0
    with files.writing_result(output) as (write, written):
        for part in parts_with_codes(encoder, texts, output):
            decoded = loaded.decode_batch(part.codes, constraint=rules, nearest=nearest, seed=seed)
            found = zip(decoded.texts, decoded.valid, part.read, strict=True)
            same = [bool(valid) and is_same(text, read, loaded.codec) for text, valid, read in found]
            exact += sum(same)
            head = {"line": part.lines, "smiles": part.texts}
            tail = {"reconstruction": decoded.texts, "exact": same, "changed": part.changed}
            write(join_columns(names, part.cells, head, tail))
    files.tell_changed(encoder.changed)
    refused = encoder.texts - encoder.encoded
    files.note(f"exactly reconstructed: {describe_share(exact, encoder.texts, refused)}")
    terminal.report(
        exact=exact / encoder.texts if encoder.texts else float("nan"),
        texts=encoder.texts,
        left_out=encoder.left_out,
        **written,
    )


def open_records(
    model: Any, source: Path, column: str | None, unknown: str, fragments: str | None, polish: int | None, jobs: int
) -> tuple[tuple[str, ...], "RecordEncoder"]:
    """The names of the columns beside the texts of a file, and what encodes its records."""
    from grammar_rae.codecs import FORMS
    from grammar_rae.datasets import read_records
    from grammar_rae.model.streaming import RecordEncoder

    files.tell_column(source, column)
    names, records = read_records(source, column, fields=FORMS[model.codec.form].fields)
    return names, RecordEncoder(model, records, unknown, fragments, jobs, polish)


def parts_with_codes(encoder: "RecordEncoder", source: Path, output: Path) -> "Iterator[EncodedRecords]":
    """The parts of a file that have codes, while the other rows are listed beside the output.

    Raises
    ------
    DataError
        At the end, with all reasons, if no row has a code.
    """
    from grammar_rae.datasets import count_reasons

    with files.listing_rejected(output) as reject:
        for part in encoder:
            reject(part.refused)
            if part.lines:
                yield part
    if encoder.encoded:
        return
    reasons = count_reasons(encoder.kinds, encoder.examples)
    raise DataError(f"none of the {encoder.left_out} rows can be used: {reasons}", where=str(source))


def code_table(names: tuple[str, ...], part: "EncodedRecords") -> Any:
    """The table that ``encode`` writes of some records."""
    from grammar_rae.datasets import join_columns

    tail = {"changed": part.changed} | {f"z{place}": column for place, column in enumerate(part.codes.T)}
    return join_columns(names, part.cells, {"line": part.lines, "text": part.texts}, tail)
