"""The surrogates in the form that BoTorch's acquisitions take; importing this module imports BoTorch."""

from collections.abc import Sequence
from typing import Any

import torch
from botorch.models.model import Model
from botorch.posteriors.gpytorch import GPyTorchPosterior
from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
from torch import Tensor

from grammar_rae.optimization.surrogate import SparseGP


class Surrogates(Model):
    """Independent processes of M values at the same codes."""

    def __init__(self, surrogates: Sequence[SparseGP]) -> None:
        super().__init__()
        self.surrogates = list(surrogates)

    @property
    def num_outputs(self) -> int:
        """M."""
        return len(self.surrogates)

    @property
    def batch_shape(self) -> torch.Size:
        """Empty: the model is not batched."""
        return torch.Size()

    def posterior(self, X: Tensor, *_: Any, **__: Any) -> GPyTorchPosterior:
        """The posterior of the values, without noise, at codes (..., N, D)."""
        parts = []
        for surrogate in self.surrogates:
            mean, covariance = surrogate.joint(X)
            jitter = 1e-6 * covariance.diagonal(dim1=-2, dim2=-1).mean().clamp_min(1e-12)
            parts.append(MultivariateNormal(mean, covariance + jitter * torch.eye(X.shape[-2], dtype=X.dtype)))
        if len(parts) == 1:
            return GPyTorchPosterior(parts[0])
        return GPyTorchPosterior(MultitaskMultivariateNormal.from_independent_mvns(parts))
