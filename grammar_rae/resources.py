"""Where the bundled files are: ``grammars/``, ``data/``, and in the latter the trained models.

In a wheel they lie inside the package; in a checkout or an editable install they lie beside it. No other module
depends on the difference.
"""

import os
from pathlib import Path

from grammar_rae.checks import check_path
from grammar_rae.errors import DataError, UnknownNameError

DEFAULT_MODEL = "molecules"
"""The bundled model that is used where no other is named."""

_PACKAGE = Path(__file__).resolve().parent
_MODELS = "data/models"


def _roots() -> tuple[Path, Path]:
    return _PACKAGE, _PACKAGE.parent


def bundled_file(name: str) -> Path:
    """The path of a bundled file, for example ``bundled_file("grammars/smiles.cfg")``.

    Raises
    ------
    DataError
        When the installation lacks the file.
    """
    for root in _roots():
        path = root / name
        if path.is_file():
            return path
    raise DataError(
        "a bundled file is missing",
        received=name,
        where=str(_PACKAGE),
        remedy="Install grammar_rae again.",
    )


def bundled_names(folder: str, suffix: str) -> list[str]:
    """The stems of the bundled files of one folder, for example ``bundled_names("grammars", ".cfg")``."""
    stems = {path.name.removesuffix(suffix) for root in _roots() for path in (root / folder).glob("*" + suffix)}
    return sorted(stems)


def bundled_models() -> list[str]:
    """The names of the bundled models."""
    return sorted({path.parent.name for root in _roots() for path in (root / _MODELS).glob("*/model.json")})


def bundled_model(name: str = DEFAULT_MODEL) -> Path:
    """The folder of a bundled model.

    Raises
    ------
    UnknownNameError
        For an unknown name.
    """
    if name not in bundled_models():
        raise UnknownNameError("bundled model", name, bundled_models(), "`grammar-rae list models`")
    return bundled_file(f"{_MODELS}/{name}/model.json").parent


def model_folder(which: str | os.PathLike[str]) -> Path:
    """The folder of a trained model, from its path or the name of a bundled one; an existing path comes first."""
    folder = check_path(which)
    return bundled_model(str(which)) if not folder.exists() and str(which) in bundled_models() else folder
