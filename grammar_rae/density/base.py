"""What every density is: made for D dimensions, fitted on codes, sampled and scored."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from grammar_rae.errors import CheckpointError, InputError

Codes = Tensor | NDArray[Any]

CHUNK = 8192  # codes drawn or scored at once


class Density(nn.Module, ABC):
    """A density of latent codes, fitted after training.

    ``state_dict`` is its whole state: it can be loaded into a new instance that was made with the same options.

    Parameters
    ----------
    latent
        D, the number of latent dimensions.
    """

    score_kind: ClassVar[str] = "log-likelihood"
    """What :meth:`score` is: ``log-likelihood`` or ``evidence lower bound``."""
    least_codes: int = 2
    """The fewest codes that it can be fitted on."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        if latent < 1:
            raise InputError("a density needs a dimension", received=latent, expected="1 or more")
        self.latent = latent

    def fit(self, z: Codes, seed: int = 0) -> Self:
        """Fit to codes (N, D) and return itself.

        Parameters
        ----------
        z
            Codes, on any device.
        seed
            Of all that is random in the fit: the same seed and codes give the same density (on one device).

        Raises
        ------
        InputError
            For too few codes, codes of another size, or codes that are not finite.
        """
        # A caller may hold codes of inference mode, which nothing can be trained on.
        with torch.inference_mode(False):
            codes = self._checked(z)
            self.check_count(len(codes))
            self._fit(codes, seed)
        return self

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw z (n, D), float32, on the density's device.

        Parameters
        ----------
        n
            How many; 0 is allowed.
        generator
            A generator of the density's device; the global one if there is none.

        Raises
        ------
        InputError
            Before a fit, or for a negative number.
        """
        self._check_fitted()
        if n < 0:
            raise InputError("the number of samples cannot be negative", received=n)
        sizes = [min(CHUNK, n - start) for start in range(0, n, CHUNK)] or [0]
        return torch.cat([self._sample(size, generator) for size in sizes])

    def score(self, z: Codes, seed: int = 0) -> float:
        """The mean over codes (N, D) of log q(z), or of the lower bound of it that is known, in nats a code.

        On codes that the density was not fitted on, it tells which of two densities is closer to the data.

        Parameters
        ----------
        z
            Codes, on any device.
        seed
            Of what is random in a score, where something is.

        Raises
        ------
        InputError
            Before a fit, for no code, codes of another size, or codes that are not finite.
        """
        self._check_fitted()
        codes = self._checked(z).to(self.device)
        if not len(codes):
            raise InputError("there is no code to score", expected="one or more")
        return self._score(codes, seed)

    def check_count(self, n: int) -> None:
        """Raise an InputError when n codes are too few to fit; a training asks before it begins."""
        if n < self.least_codes:
            raise InputError(
                "there are too few codes to fit a density",
                received=n,
                expected=f"{self.least_codes} or more",
                remedy="Train on more data, or choose a simpler density.",
            )

    def check_state(self) -> None:
        """Raise a CheckpointError unless a state that was loaded is that of a fitted density."""
        if not self._fitted():
            raise CheckpointError("the saved density is not a fitted one", remedy="Fit another one: refit_density.")

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return next(self.buffers()).device

    # -- what a density must say of itself ----------------------------------------------------------------------

    @abstractmethod
    def _fit(self, codes: Tensor, seed: int) -> None:
        """Fit to checked codes (N, D), float64, on whatever device the caller had them."""

    @abstractmethod
    def _sample(self, n: int, generator: torch.Generator | None) -> Tensor:
        """At most ``CHUNK`` codes, float32 (n, D)."""

    @abstractmethod
    def _score(self, codes: Tensor, seed: int) -> float:
        """The score of checked codes (N, D), float64, on the density's device; N > 0."""

    @abstractmethod
    def _fitted(self) -> bool:
        """Whether there was a fit, or a fit's state was loaded."""

    # -- checks -------------------------------------------------------------------------------------------------

    def _checked(self, z: Codes) -> Tensor:
        """The codes as a float64 tensor that does not belong to inference mode."""
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
            raise InputError("latent codes are not finite", remedy="The encoder diverged: lower the learning rate.")
        return codes

    def _check_size(self, shape: Sequence[int]) -> None:
        if len(shape) != 2 or shape[1] != self.latent:
            raise InputError(
                "these are not latent codes", received=f"shape {tuple(shape)}", expected=f"(N, {self.latent})"
            )

    def _check_fitted(self) -> None:
        if not self._fitted():
            raise InputError("this density is not fitted", remedy="Call fit(z) first.")


class ExactDensity(Density):
    """A density whose log q(z) can be computed."""

    chunk: int = CHUNK
    """Codes whose log-density is computed at once."""

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
    """A variance that is nothing beside the codes': a millionth of their mean variance (and 1e-12).

    Every density is fitted as if the codes had noise of this variance, so that codes on a plane, a constant dimension,
    or codes that are all the same have a density at all.
    """
    return float(1e-6 * codes.var(0, unbiased=False).mean() + 1e-12)
