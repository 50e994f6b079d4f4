"""The server behind the page: on this machine alone, at an address that nobody can guess."""

import errno
import logging
import secrets
import webbrowser
from collections.abc import Callable
from typing import Any

from grammar_rae.checks import check_count
from grammar_rae.errors import InputError, MissingExtraError
from grammar_rae.explorer.study import Study

HOST = "127.0.0.1"
PORT = 5006
"""The first port that is tried where none is chosen."""

_TRIED = 20


def check_bokeh() -> None:
    """Raise :class:`MissingExtraError` now, rather than after a model was loaded, where Bokeh is not installed."""
    try:
        import bokeh.server.server  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("bokeh", "explore", "the explorer") from error


def make_server(study: Study, port: int | None = None) -> tuple[Any, str]:
    """A server that listens, and the address of its page, which ends with a random token.

    Parameters
    ----------
    study
        What the pages are about.
    port
        The port; None for the first free one from :data:`PORT` on.

    Raises
    ------
    InputError
        For a port that is taken or cannot be used.
    MissingExtraError
        Without Bokeh.
    """
    check_bokeh()
    from bokeh.application import Application
    from bokeh.application.handlers.function import FunctionHandler
    from bokeh.server.server import Server
    from bokeh.settings import settings

    from grammar_rae.explorer.page import Page

    settings.resources = "server"  # whatever the environment says, nothing is loaded from elsewhere
    for name in ("bokeh", "tornado.access"):
        logging.getLogger(name).setLevel(logging.ERROR)
    token = secrets.token_urlsafe(24)

    def build(doc: Any) -> None:
        Page(doc, study)

    ports = range(PORT, PORT + _TRIED) if port is None else [check_count("port", port, 1, 65535)]
    for one in ports:
        try:
            server = Server(
                {f"/{token}": Application(FunctionHandler(build))},
                port=one,
                address=HOST,
                allow_websocket_origin=[f"{HOST}:{one}", f"localhost:{one}"],
                use_index=False,
                redirect_root=False,
                unused_session_lifetime_milliseconds=30_000,  # a tab that was closed stops its work then
                check_unused_sessions_milliseconds=5_000,
            )
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        return server, f"http://{HOST}:{one}/{token}"
    many = f"{ports[0]}" if len(ports) == 1 else f"{ports[0]} to {ports[-1]}"
    raise InputError(
        "another program listens on this port" if len(ports) == 1 else "other programs listen on these ports",
        received=many,
        remedy="Choose another one with --port.",
    )


def serve(study: Study, port: int | None, say: Callable[[str], None], open_browser: bool = True) -> None:
    """Serve until Ctrl-C; ``say`` gets the address, and whether a browser was opened."""
    server, address = make_server(study, port)
    say(f"The explorer is at {address}")
    server.start()
    if open_browser and not _open(address):
        say("No browser could be opened: open the address above in one on this machine.")
    say("Press Ctrl-C to end it.")
    try:
        server.io_loop.start()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


def _open(address: str) -> bool:
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False
