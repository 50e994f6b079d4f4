"""Reading SMILES and blocks of molecules, and writing SMILES in canonical, Kekulé or aromatic form."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from grammar_rae.chem.blocks import block_or_none, block_reason, is_block
from grammar_rae.chem.log import capture_errors, quiet
from grammar_rae.errors import TextError, UnknownNameError

#: The longest SMILES that is handed to RDKit. RDKit follows a chain of atoms recursively; between 14,000 and
#: 20,000 atoms it overflows the stack of 8 MB that threads commonly have, and that ends the process without an error.
MAX_CHARACTERS = 5000

RECENT = 512
"""Molecules that are kept for whoever asks for them next: some 17 MB."""

# RDKit ends a SMILES at a blank and skips some bytes outside ASCII, and so would read a different molecule.
_SMILES_CHARACTERS = re.compile(r"[!-~]+")
_OTHER_CHARACTER = re.compile(r"[^!-~]")

PARTS = "smaller parts left out"
EXTENSION = "extension of a CXSMILES left out"
MAPS = "atom maps left out"

_EXTENSION = re.compile(r"\s+\|[^|]*\|\s*$")  # ChemAxon's, behind a SMILES: "CCC |^1:1|"
_MAP = re.compile(r":\d+(?=\])")
_NEAR = re.compile(r"check for mistakes around position (\d+)")
_REASON_TAIL = re.compile(r"( while parsing| for input): .*$")


def molecule_or_none(text: object) -> Any:
    """RDKit's sanitised molecule, or None, without a reason (the fast path); callers keep the log quiet."""
    if not isinstance(text, str):
        return None
    if is_block(text):
        return block_or_none(text)
    if len(text) > MAX_CHARACTERS:
        return None
    text = strip_extension(text.strip())
    if not _SMILES_CHARACTERS.fullmatch(text):
        return None
    try:
        molecule = Chem.MolFromSmiles(text)
    except (ValueError, RuntimeError):  # violations of RDKit's own invariants, by very odd texts
        return None
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def strip_extension(text: str) -> str:
    """A CXSMILES without its extension.

    >>> strip_extension("CCC |^1:1|")
    'CCC'
    """
    return _EXTENSION.sub("", text) if text.endswith("|") else text


def molecule(text: str) -> Any:
    """RDKit's sanitised molecule, or :class:`~grammar_rae.errors.TextError`; callers keep the log quiet.

    It is the caller's own. A text is read once for the many who ask for it within a short time: scores, filters,
    fingerprints of one batch.
    """
    found = _read_recently(text) if isinstance(text, str) else None
    if found is None:
        raise _refusal(text)
    return Chem.Mol(found)


@lru_cache(maxsize=RECENT)
def _read_recently(text: str) -> Any:
    return molecule_or_none(text)


def _read(text: str) -> Any:
    """As :func:`molecule`, for streams, in which hardly any text comes twice."""
    found = molecule_or_none(text)
    if found is None:
        raise _refusal(text)
    return found


def _refusal(text: object) -> TextError:
    """The error that says why :func:`molecule_or_none` returned None, in RDKit's own words where there are any."""
    if not isinstance(text, str):
        return TextError("a SMILES must be a string", text=str(text), received=f"{text!r}, a {type(text).__name__}")
    if is_block(text):
        title = text.partition("\n")[0].strip()
        reason = _sentence(block_reason(text))
        return TextError(f"RDKit cannot read this record: {reason}", text=title, received=title or "a record")
    start = len(text) - len(text.lstrip())
    stripped = text.strip()
    if not stripped:
        return TextError("the SMILES is empty", text=text)
    if len(text) > MAX_CHARACTERS:
        return TextError.too_long("the SMILES is too long for RDKit", text, MAX_CHARACTERS)
    other = _OTHER_CHARACTER.search(stripped)
    if other:
        blank = other.group().isspace()
        return TextError(
            f"a SMILES cannot contain {'blanks' if blank else f'character {other.group()!r}'}",
            text=text,
            position=start + other.start(),
            remedy="Pass the SMILES alone, without a name or other columns." if blank else None,
        )
    reason, near = _reason(stripped)
    return TextError(
        f"RDKit cannot read this SMILES: {reason}", text=text, position=None if near is None else start + near
    )


def _reason(text: str) -> tuple[str, int | None]:
    """RDKit's reason for refusing a text and, for an error of syntax, the index of the character near which it is."""
    parsed, lines = capture_errors(lambda: Chem.MolFromSmiles(text, sanitize=False))
    if parsed is not None:
        try:
            Chem.SanitizeMol(parsed)
        except (ValueError, RuntimeError) as error:
            return _sentence(str(error)), None
        return "no reason given", None
    # Messages about texts that other threads read meanwhile arrive here too: keep those about this text.
    ours = [i for i, line in enumerate(lines) if line.endswith((f" while parsing: {text}", f" for input: '{text}'"))]
    if not ours:
        return "no reason given", None
    first, rest = lines[ours[0]], lines[ours[0] + 1 : ours[-1]]
    reason = _sentence(_REASON_TAIL.sub("", first.removeprefix("SMILES Parse Error: ")))
    places = [int(found.group(1)) for found in map(_NEAR.search, rest) if found]
    # RDKit counts from 1, and counts the end of the text as a position.
    return (f"{reason} near character {places[0]}", min(places[0], len(text)) - 1) if places else (reason, None)


def _sentence(reason: str) -> str:
    return " ".join(reason.split()).rstrip(".")


def _one(found: Any, text: str) -> Any:
    parts = len(Chem.GetMolFrags(found))
    if parts > 1:
        raise TextError(
            f"the SMILES contains {parts} molecules separated by '.'",
            text=text,
            position=text.index(".") if "." in text else None,
            expected="one molecule",
            remedy="Pass one of them; or, where that is an option, fragments='largest' for the largest of them, or "
            "fragments='keep' for all.",
        )
    return found


def _largest(found: Any, text: str) -> Any:
    parts = Chem.GetMolFrags(found, asMols=True)
    if len(parts) == 1:
        return found

    def rank(part: Any) -> tuple[int, float, str]:
        return -part.GetNumHeavyAtoms(), -rdMolDescriptors.CalcExactMolWt(part), Chem.MolToSmiles(part)

    # Read again: a part that was cut out remembers the whole's stereochemistry, which is not always its own.
    return _read(min(map(rank, parts))[-1])


def _all(found: Any, text: str) -> Any:
    return found


#: What to do with a SMILES of several molecules.
FRAGMENTS: dict[str, Callable[[Any, str], Any]] = {"refuse": _one, "largest": _largest, "keep": _all}


class Written(NamedTuple):
    """What was written of a molecule, and what was left out: of :data:`PARTS`, :data:`EXTENSION`, :data:`MAPS`."""

    text: str
    changes: tuple[str, ...] = ()


def _rewrite(text: str, fragments: str, kekule: bool) -> Written:
    """Read a text, once, treat its fragments, and write it."""
    try:
        choose = FRAGMENTS[fragments]
    except KeyError:
        raise UnknownNameError("value of fragments", fragments, FRAGMENTS) from None
    found, changes = _read(text), []
    block = is_block(text)
    if not block and text.rstrip().endswith("|"):
        changes.append(EXTENSION)
    written = "" if not block and "." in text else _write(found, text, kekule)
    if "." in (written or text):
        whole, found = found, choose(found, written or text)
        if found is not whole:
            changes.append(PARTS)
        written = _write(found, text, kekule)
    if ":" in written and (unmapped := _MAP.sub("", written)) != written:
        changes.append(MAPS)
        written = _write(_read(unmapped), text, kekule)
    return Written(written, tuple(changes))


def _write(found: Any, text: str, kekule: bool) -> str:
    try:
        if kekule:
            Chem.Kekulize(found, clearAromaticFlags=True)
        return str(Chem.MolToSmiles(found))
    except (ValueError, RuntimeError) as error:
        raise TextError(f"RDKit cannot write this molecule: {_sentence(str(error))}", text=text) from error


@quiet
def canonical(text: str) -> str:
    """RDKit's canonical SMILES, of all fragments.

    Raises
    ------
    TextError
        When RDKit refuses the text, with RDKit's reason.
    """
    return _write(_read(text), text, kekule=False)


@quiet
def canonical_or_none(text: str) -> str | None:
    """RDKit's canonical SMILES, or None for an invalid text (faster than an error)."""
    found = molecule_or_none(text)
    try:
        return None if found is None else _write(found, text, kekule=False)
    except TextError:
        return None


@quiet
def is_valid(text: str) -> bool:
    """Whether RDKit parses and sanitises the text; the empty text is invalid."""
    return molecule_or_none(text) is not None


def kekule(text: str, fragments: str = "refuse") -> str:
    """The canonical SMILES without aromatic atoms: double bonds stand where RDKit's Kekulé structure puts them.

    It names the same molecule: ``canonical(kekule(text)) == canonical(text)``. Isotopes, charges and stereochemistry
    are kept; explicit hydrogen atoms become implicit ones, as RDKit reads them by default, and atom maps are left out.

    Parameters
    ----------
    text
        A SMILES, or the block of a molecule.
    fragments
        What to do with several molecules joined by '.': ``"refuse"`` them, take the ``"largest"`` (most heavy atoms,
        then the heaviest, then the first in alphabetical order) or ``"keep"`` all.

    Raises
    ------
    TextError
        When RDKit refuses the text, or the text has several molecules and they are refused.
    UnknownNameError
        When ``fragments`` is none of the three.
    """
    return write_kekule(text, fragments).text


def aromatic(text: str, fragments: str = "refuse") -> str:
    """The canonical SMILES with aromatic atoms in lower case; parameters and errors as in :func:`kekule`."""
    return write_aromatic(text, fragments).text


@quiet
def write_kekule(text: str, fragments: str = "refuse") -> Written:
    """What :func:`kekule` writes, and what it left out."""
    return _rewrite(text, fragments, kekule=True)


@quiet
def write_aromatic(text: str, fragments: str = "refuse") -> Written:
    """What :func:`aromatic` writes, and what it left out."""
    return _rewrite(text, fragments, kekule=False)
