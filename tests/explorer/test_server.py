"""The server: this machine alone, a token in the address, a free port, and sentences where something is missing."""

import socket
import threading
import urllib.error
import urllib.request

import pytest
from typer.testing import CliRunner

from grammar_rae.cli import app
from grammar_rae.errors import InputError, MissingExtraError
from grammar_rae.explorer.server import HOST, check_bokeh, make_server
from grammar_rae.explorer.study import Study

pytest.importorskip("bokeh")


@pytest.fixture(scope="module")
def study(tiny, run_folder):
    return Study(tiny, run_folder, draws=4)


@pytest.fixture(scope="module")
def address(study):
    """A server in a thread of its own."""
    import asyncio

    ready, found = threading.Event(), {}

    def run():
        asyncio.set_event_loop(asyncio.new_event_loop())
        server, found["address"] = make_server(study)
        found["loop"] = server.io_loop
        server.start()
        server.io_loop.add_callback(ready.set)
        server.io_loop.start()
        server.stop()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(60)
    yield found["address"]
    found["loop"].add_callback(found["loop"].stop)
    thread.join(30)


def status(url):
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_only_the_address_with_the_token_is_answered(address):
    home, token = address.rsplit("/", 1)
    assert len(token) >= 32
    code, page = status(address)
    assert code == 200 and "Map of latent codes" in page
    for path in ("", "/", "/ws", "/metadata", "/autoload.js", f"/{token[:-1]}", f"/{token}x", "/explorer"):
        assert status(home + path)[0] == 404, path


def test_the_page_loads_from_its_own_server_alone(address):
    _, page = status(address)
    assert (
        'src="static/js/bokeh' in page or 'src="/static/js/bokeh' in page or f'src="{address.rsplit("/", 1)[0]}' in page
    )
    assert "cdn.bokeh.org" not in page and "https://" not in page.replace("https://www.w3.org", "")
    assert "default-src 'none'" in page


def test_it_listens_on_this_machine_alone(address):
    port = int(address.split(":")[2].split("/")[0])
    others = {found[4][0] for found in socket.getaddrinfo(socket.gethostname(), port, socket.AF_INET)} - {HOST}
    for other in others - {"127.0.1.1"}:
        with pytest.raises(OSError), socket.create_connection((other, port), timeout=5):
            pass


def test_a_port_that_is_taken_is_a_sentence_and_the_next_one_is_tried(study):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"listens on this port; received {port}"):
            make_server(study, port)


@pytest.mark.parametrize("port", [0, 70000, "x"])
def test_a_port_that_cannot_be_is_refused(study, port):
    with pytest.raises(InputError):
        make_server(study, port)


def test_without_bokeh_the_command_says_what_to_install(hide_package):
    hide_package("bokeh")
    with pytest.raises(MissingExtraError, match=r"pip install 'grammar_rae\[explore\]'"):
        check_bokeh()
    result = CliRunner().invoke(app, ["explore", "--no-browser"])
    assert result.exit_code == 2 and "grammar_rae[explore]" in result.stderr and "Traceback" not in result.stderr


def test_a_file_or_model_that_is_not_there_is_a_sentence(tmp_path):
    for words in (["explore", "-m", str(tmp_path)], ["explore", str(tmp_path / "none.smi"), "-m", "expressions"]):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 2 and result.stderr.startswith("error: ") and "Traceback" not in result.stderr
