"""The base of all densities: built for D dimensions, fitted to codes, sampled and scored."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from grammar_rae.checks import check_count
from grammar_rae.errors import CheckpointError, InputError
from grammar_rae.precision import in_single_precision
from grammar_rae.seeds import check_seed

Codes = Tensor | NDArray[Any]

CHUNK = 8192  # codes drawn or scored at once
LARGEST = 2**16  # latent dimensions


class Density(nn.Module, ABC):
    """A density of latent codes, fitted after training.

    ``state_dict`` is its whole state; it can be loaded into a new instance with the same options.

    Parameters
    ----------
    latent
        D, the number of latent dimensions.
    """

    score_kind: ClassVar[str] = "log-likelihood"
    """The kind of :meth:`score`: ``log-likelihood`` or ``evidence lower bound``."""
    least_codes: int = 2
    """The fewest codes that it can be fitted to."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.latent = check_count("latent", latent, 1, LARGEST)

    @in_single_precision
    def fit(self, z: Codes, seed: int = 0) -> Self:
        """Fit to codes (N, D) and return itself.

        Parameters
        ----------
        z
            Codes, on any device.
        seed
            The seed of the fit, from 0 to 2**64 - 1; the same seed and codes give the same density on the same device.

        Raises
        ------
        InputError
            For too few codes, codes of another size, or codes that are not finite.
        """
        # Tensors of inference mode, which a caller may pass, cannot be trained on.
        seed = check_seed(seed)
        with torch.inference_mode(False):
            self.float()  # it may have been built under another default
            codes = self._check_codes(z)
            self.check_count(len(codes))
            self._fit(codes, seed)
        return self

    @torch.no_grad()
    @in_single_precision
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw codes (n, D), float32, on the density's device.

        Parameters
        ----------
        n
            The number of codes; 0 is allowed.
        generator
            A generator on the density's device; by default, the global one.

        Raises
        ------
        InputError
            Before a fit, or for a negative number.
        """
        self._check_fitted()
        if n < 0:
            raise InputError("the number of samples cannot be negative", received=n, expected="0 or more")
        sizes = [min(CHUNK, n - start) for start in range(0, n, CHUNK)] or [0]
        return torch.cat([self._sample(size, generator) for size in sizes])

    @in_single_precision
    def score(self, z: Codes, seed: int = 0) -> float:
        """The mean over codes (N, D) of log q(z), or of its known lower bound, in nats per code.

        On codes that were held out of the fit, it compares how close densities are to the data.

        Parameters
        ----------
        z
            Codes, on any device.
        seed
            The seed of the score, where it is random.

        Raises
        ------
        InputError
            Before a fit, without codes, and for codes of another size or with values that are not finite.
        """
        self._check_fitted()
        seed = check_seed(seed)
        codes = self._check_codes(z).to(self.device)
        if not len(codes):
            raise InputError("no codes to score", expected="one or more")
        return self._score(codes, seed)

    def check_count(self, n: int) -> None:
        """Raise an InputError when n codes are too few to fit, which a training checks before it begins."""
        if n < self.least_codes:
            raise InputError(
                "too few codes to fit a density",
                received=n,
                expected=f"{self.least_codes} or more",
                remedy="Train on more data, or choose a simpler density.",
            )

    def check_state(self) -> None:
        """Raise a CheckpointError unless a state that was loaded is that of a fitted density."""
        if not self._is_fitted():
            raise CheckpointError("the saved density is not a fitted one", remedy="Fit another one: refit_density.")

    @property
    def device(self) -> torch.device:
        """The device of its tensors."""
        return next(self.buffers()).device

    # -- what a density must implement --------------------------------------------------------------------------

    @abstractmethod
    def _fit(self, codes: Tensor, seed: int) -> None:
        """Fit to checked codes (N, D), float64, on the caller's device."""

    @abstractmethod
    def _sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw at most ``CHUNK`` codes, float32 (n, D)."""

    @abstractmethod
    def _score(self, codes: Tensor, seed: int) -> float:
        """The score of checked codes (N, D), float64, on the density's device; N > 0."""

    @abstractmethod
    def _is_fitted(self) -> bool:
        """Whether the density was fitted, or the state of a fit was loaded."""

    # -- checks -------------------------------------------------------------------------------------------------

    def _check_codes(self, z: Codes) -> Tensor:
        """Check codes and convert them to a float64 tensor outside inference mode."""
        if z.is_complex() if isinstance(z, Tensor) else np.iscomplexobj(z):
            raise InputError("latent codes must be real numbers", received="complex ones", expected="(N, D)")
        if isinstance(z, Tensor):
            codes = z.detach()
            self._check_size(codes.shape)
            # Apple's devices have no float64.
            codes = (codes.cpu() if codes.device.type == "mps" else codes).to(torch.float64, copy=True)
        else:
            array = np.asarray(z)
            self._check_size(array.shape)
            codes = torch.from_numpy(array.astype(np.float64))  # astype copies, so that memory maps may be read-only
        if not bool(codes.isfinite().all()):
            raise InputError(
                "latent codes hold NaN or infinite values", remedy="If the encoder diverged, lower the learning rate."
            )
        return codes

    def _check_size(self, shape: Sequence[int]) -> None:
        if len(shape) != 2 or shape[1] != self.latent:
            raise InputError(
                "latent codes have the wrong shape", received=f"shape {tuple(shape)}", expected=f"(N, {self.latent})"
            )

    def _check_fitted(self) -> None:
        if not self._is_fitted():
            raise InputError("this density is not fitted", remedy="Call fit(z) first.")


class ExactDensity(Density):
    """A density whose log q(z) can be computed."""

    chunk: int = CHUNK
    """Codes whose log-density is computed at once."""

    @in_single_precision
    def log_prob(self, z: Codes) -> Tensor:
        """log q(z) of codes (N, D), in nats: float64 (N,), on the density's device.

        Raises
        ------
        InputError
            Before a fit, or for codes of another size.
        """
        self._check_fitted()
        codes = torch.as_tensor(z)
        self._check_size(codes.shape)
        codes = codes.to(self.device, torch.float64)
        found = [self._log_prob(part) for part in torch.split(codes, self.chunk) if len(part)]
        return torch.cat(found) if found else codes.new_empty(0)

    def _score(self, codes: Tensor, seed: int) -> float:
        return float(self.log_prob(codes).mean())

    @abstractmethod
    def _log_prob(self, z: Tensor) -> Tensor:
        """log q(z) of at most ``chunk`` codes, float64 (N,)."""


def ridge(codes: Tensor) -> float:
    """A variance that is negligible beside the codes': a millionth of their mean variance (and 1e-12).

    Every density is fitted as if the codes had noise of this variance, so that codes on a plane, with a constant
    dimension or all equal have a density.
    """
    return float(1e-6 * codes.var(0, unbiased=False).mean() + 1e-12)
