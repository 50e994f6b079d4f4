"""What a person sees when a command cannot do its work: one line on stderr and an exit code, never a traceback."""

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from grammar_rae.cli import terminal
from grammar_rae.errors import GrammarRAEError, TextError
from grammar_rae.launchers import is_first_process

ERROR = 2
INTERRUPTED = 130


EXAMPLE = "Example: "
"""What the last line of a command's help begins with, which the list of commands shows too."""

ANYWHERE = ("--quiet", "-q", "--json")
"""Options of the program that may stand behind a command, too."""


class Commands(TyperGroup):
    """The group of all commands, where every error of the package ends."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the program's own options, wherever they stand before a ``--``."""
        end = args.index("--") if "--" in args else len(args)
        own = {word for parameter in self.params for word in parameter.opts if word in ANYWHERE}
        moved = [word for word in args[:end] if word in own]
        return super().parse_args(ctx, moved + [word for word in args[:end] if word not in own] + args[end:])

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by what they are for, each with an example."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows = panels.setdefault(command.rich_help_panel or "Commands", [])
                rows.append((name, command.get_short_help_str(60)))
                if (command.epilog or "").startswith(EXAMPLE):
                    rows.append(("", command.epilog.replace(EXAMPLE, "$ ")))
        for title, rows in panels.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; end with one line on stderr and an exit code where it fails."""
        try:
            with _plain_warnings():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            terminal.paint("interrupted", typer.colors.RED)
            raise typer.Exit(INTERRUPTED) from None
        except (GrammarRAEError, OSError) as error:
            if ctx.params.get("debug") or _is_broken_pipe(error):
                raise
            _report(error)
            raise typer.Exit(ERROR) from None


def new_app(name: str, help_text: str, add_completion: bool = False) -> typer.Typer:
    """A program of commands whose errors end as one line."""
    return typer.Typer(
        name=name,
        help=help_text,
        cls=Commands,
        no_args_is_help=True,
        add_completion=add_completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


Debug = Annotated[bool, typer.Option("--debug", envvar="GRAMMAR_RAE_DEBUG", help="Show the traceback of an error.")]
"""The option that :class:`Commands` reads."""


def _report(error: Exception) -> None:
    terminal.paint(f"error: {_sentence(error)}", typer.colors.RED)
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
        if is_first_process():
            terminal.paint(f"warning: {message}", typer.colors.YELLOW)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
