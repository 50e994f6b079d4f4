"""The explorer: a page on this machine that shows a model's latent space and works in it.

``session.py`` and ``work.py`` are all that a tab does, without a browser: points in ``layers.py``, where they come from
in ``rows.py``, maps in ``projections.py``, numbers and colours in ``values.py``, what is drawn from points in
``actions.py``, threads in ``jobs.py``. ``page.py`` and ``server.py`` alone import Bokeh (extra ``explore``).
"""

from collections.abc import Callable
from os import PathLike

from grammar_rae.checks import check_count, check_path
from grammar_rae.explorer.server import check_bokeh, serve
from grammar_rae.explorer.study import Study
from grammar_rae.model import load_model
from grammar_rae.resources import DEFAULT_MODEL, model_folder
from grammar_rae.seeds import check_seed

__all__ = ["explore"]


def explore(
    model: str | PathLike[str] = DEFAULT_MODEL,
    file: str | PathLike[str] | None = None,
    *,
    column: str | None = None,
    draws: int = 500,
    training_rows: int = 10_000,
    seed: int = 0,
    port: int | None = None,
    open_browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Show the latent space of a model of texts on a page in the browser, until Ctrl-C.

    Parameters
    ----------
    model
        The folder of a trained model, or the name of a bundled one.
    file, column
        A file of texts to show, and its column; see :func:`grammar_rae.datasets.read_texts`.
    draws, training_rows
        How many draws to show, and the most training rows.
    seed
        Seed of the draws, and of all that is drawn from the page.
    port
        The port; None for the first free one from 5006 on.
    open_browser
        Whether to open the page in a browser.
    say
        Gets the page's address and other lines for a person.

    Raises
    ------
    MissingExtraError
        Without Bokeh (extra ``explore``).
    InputError
        For a model of images, a port that is taken, or numbers that cannot be used.
    CheckpointError, DataError
        For a model or a file that cannot be read.
    """
    check_bokeh()
    check_count("draws", draws, 0, 50_000)
    check_count("training_rows", training_rows, 0, 50_000)
    folder = model_folder(model)
    path = None if file is None else check_path(file)
    study = Study(load_model(folder), folder, path, column, draws=draws, most=training_rows, seed=check_seed(seed))
    serve(study, port, say, open_browser)
