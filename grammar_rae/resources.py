"""Where the files that travel with the package are: ``grammars/`` and ``data/``.

In a wheel they lie inside the package; in a checkout or an editable install they lie beside it. Nothing else in the
package knows the difference.
"""

from pathlib import Path

from grammar_rae.errors import DataError

_PACKAGE = Path(__file__).resolve().parent


def bundled(name: str) -> Path:
    """The path of a bundled file, for example ``bundled("grammars/smiles.cfg")``.

    Raises
    ------
    DataError
        When the installation lacks the file.
    """
    for root in (_PACKAGE, _PACKAGE.parent):
        path = root / name
        if path.is_file():
            return path
    raise DataError(
        "a file that belongs to the package is missing",
        received=name,
        where=str(_PACKAGE),
        remedy="Install grammar_rae again.",
    )


def bundled_names(folder: str, suffix: str) -> list[str]:
    """The stems of the bundled files of one folder, for example ``bundled_names("grammars", ".cfg")``."""
    stems = {
        path.name.removesuffix(suffix)
        for root in (_PACKAGE, _PACKAGE.parent)
        for path in (root / folder).glob("*" + suffix)
    }
    return sorted(stems)
