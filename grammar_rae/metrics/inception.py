"""The Inception net of the Fréchet Inception distance, by the package torch-fidelity."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.errors import DataError, InputError, MissingExtraError

_URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
_FILE = "weights-inception-2015-12-05-6726825d.pth"
_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class InceptionFeatures:
    """The 2048 features of Inception v3 that FID is defined with (Heusel et al., 2017), by the package torch-fidelity.

    Its net, its weights and its resizing to 299 x 299 pixels are those of the original TensorFlow code, so distances
    compare with published ones. Grey images are repeated to three channels. Pixels are rounded to 256 values, as in an
    image file.

    Parameters
    ----------
    weights
        The file ``weights-inception-2015-12-05-6726825d.pth`` of torch-fidelity's release v0.2.0. By default, it is
        downloaded (96 MB) into the user's cache, unless it is there already.
    device
        Where the net runs.
    progress
        Whether to show the progress of a download.

    Raises
    ------
    MissingExtraError
        Without torch-fidelity.
    DataError
        When the weights cannot be downloaded, or are not those of the FID.
    """

    name = "inception"
    distance_name = "FID"

    def __init__(
        self, weights: str | Path | None = None, device: str | torch.device = "cpu", progress: bool = False
    ) -> None:
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as error:
            raise MissingExtraError("torch-fidelity", "fid", "the FID") from error
        # torch-fidelity unpickles the file, which can run code, so only the known file is accepted.
        file = _download(progress) if weights is None else _check_weights(Path(weights))
        net = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(file))
        self.device = torch.device(device)
        self._net: Callable[[Tensor], tuple[Tensor, ...]] = net.to(self.device).eval()

    def __call__(self, images: Tensor) -> NDArray[np.float32]:
        """The features (B, 2048) of images (B, 1 or 3, H, W) in [0, 1].

        Raises
        ------
        InputError
            For images of another number of channels.
        """
        if images.ndim != 4 or images.shape[1] not in (1, 3):
            raise InputError(
                "Inception takes grey or RGB images", received=tuple(images.shape), expected="(B, 1 or 3, H, W)"
            )
        pixels = (images.to(self.device) * 255).round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)
        with torch.inference_mode():
            features: NDArray[np.float32] = self._net(pixels)[0].float().cpu().numpy()
        return features


_REMEDY = f"Download {_URL}{_FILE} by hand and pass its path, or use the features of a classifier."


def _download(progress: bool) -> Path:
    import pooch

    downloader = pooch.HTTPDownloader(progressbar=progress, timeout=60)
    folder = Path(pooch.os_cache("grammar_rae"), "inception")
    try:
        return Path(pooch.retrieve(_URL + _FILE, f"sha256:{_SHA256}", _FILE, folder, downloader=downloader))
    except (OSError, ValueError) as error:  # of the network and the disk; of the checksum
        raise DataError(
            f"the Inception weights cannot be downloaded ({type(error).__name__})", where=_URL, remedy=_REMEDY
        ) from error


def _check_weights(path: Path) -> Path:
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"the Inception weights cannot be read ({error.strerror})", where=str(path), remedy=_REMEDY
        ) from error
    if found != _SHA256:
        raise DataError(
            "the file does not hold the Inception weights of the FID",
            received=f"sha256 {found}",
            expected=_SHA256,
            where=str(path),
            remedy=_REMEDY,
        )
    return path
