"""What a person sees when a command cannot do its work: one line on stderr and an exit code, never a traceback."""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from grammar_rae.errors import GrammarRAEError, TextError

ERROR = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """The group of all commands, where every error of the package ends."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; end with one line on stderr and an exit code where it fails."""
        try:
            with _plain_warnings():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.secho("interrupted", fg=typer.colors.RED, err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (GrammarRAEError, OSError) as error:
            if ctx.params.get("debug") or _is_broken_pipe(error):
                raise
            _report(error)
            raise typer.Exit(ERROR) from None


def new_app(name: str, help_text: str) -> typer.Typer:
    """A program of commands whose errors end as one line."""
    return typer.Typer(
        name=name,
        help=help_text,
        cls=Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


Debug = Annotated[bool, typer.Option("--debug", envvar="GRAMMAR_RAE_DEBUG", help="Show the traceback of an error.")]
"""The option that :class:`Commands` reads."""


def _report(error: Exception) -> None:
    typer.secho(f"error: {_sentence(error)}", fg=typer.colors.RED, err=True)
    if isinstance(error, TextError) and error.position is not None:
        for line in error.caret().splitlines():
            typer.echo(f"  {line}", err=True)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, GrammarRAEError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{(error.strerror or str(error)).lower()}"
    return str(error)


def _is_broken_pipe(error: Exception) -> bool:
    # typer itself ends quietly when the reader of a pipe has gone.
    return isinstance(error, OSError) and error.errno == errno.EPIPE


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings as one line each, without the file and line of the code that gave them."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        typer.secho(f"warning: {message}", fg=typer.colors.YELLOW, err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
