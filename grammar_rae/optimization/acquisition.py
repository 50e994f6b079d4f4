"""What makes a code worth a decoding: expected improvement, hypervolume improvement, and the search for the best."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.errors import MissingExtraError
from grammar_rae.optimization.surrogate import SparseGP

_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)


def log_expected_improvement(mean: Tensor, deviation: Tensor, best: float) -> Tensor:
    r"""The logarithm of :math:`\mathrm E[\max(y - y^*, 0)]` for :math:`y \sim \mathcal N(\mu, s^2)`, all (N,).

    Accurate, with its gradient, however small the improvement is (Ament et al., 2023, equation 9 and appendix A).
    """
    return deviation.log() + _log_h((mean - best) / deviation)


def _log_h(u: Tensor) -> Tensor:
    r""":math:`\log(\varphi(u) + u \Phi(u))`."""
    near, middle, far = u.clamp_min(-1), u.clamp(-1e3, -1), u.clamp_max(-1)
    plain = (torch.exp(-0.5 * near.square() - _LOG_ROOT_2PI) + near * torch.special.ndtr(near)).log()
    # 1 - |u| Phi(u) / phi(u) loses its digits far out, where its expansion 1 / u^2 is exact to 1e-6.
    ratio = 1 - math.sqrt(math.pi / 2) * middle.abs() * torch.special.erfcx(-middle / math.sqrt(2))
    tail = torch.where(u > -1e3, ratio.log(), -2 * far.abs().log()) - 0.5 * far.square() - _LOG_ROOT_2PI
    return torch.where(u > -1, plain, tail)


def search_box(
    acquisition: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, starts: Tensor, steps: int = 40
) -> Tensor:
    """The codes (S, D) of local maxima of an acquisition in a box, each from its start (S, D), the best one first.

    Parameters
    ----------
    acquisition
        Codes (S, D) -> (S,), each row for itself.
    low, high
        The box's corners, (D,).
    starts
        Where the searches begin; they go on together.
    steps
        Iterations of L-BFGS.
    """
    from scipy.optimize import minimize

    def cost(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        x = torch.tensor(flat.reshape(starts.shape), requires_grad=True)
        loss = -acquisition(x).sum()
        (gradient,) = torch.autograd.grad(loss, x)
        return float(loss.detach()), gradient.numpy().ravel()

    bounds = np.stack([np.tile(part.numpy(), len(starts)) for part in (low, high)], axis=1)
    with torch.inference_mode(False), torch.enable_grad():
        begin = starts.clamp(low, high).numpy().ravel()
        found = minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps})
    codes = torch.from_numpy(found.x.reshape(starts.shape)).clamp(low, high)
    with torch.no_grad():
        return codes[acquisition(codes).argsort(descending=True, stable=True)]


def choose_by_expected_improvement(
    surrogate: SparseGP, best: float, codes: Tensor, n: int, price: Tensor | float = 0.0
) -> list[int]:
    """Indices of n of the codes (N, D), each the best one after the earlier ones are assumed to have their mean value.

    The ``price`` (N,) is taken off the logarithm of the expected improvement.
    """
    chosen: list[int] = []
    free = torch.ones(len(codes), dtype=torch.bool)
    for _ in range(min(n, len(codes))):
        mean, deviation = surrogate.predict(codes)
        value = log_expected_improvement(mean, deviation, best) - price
        index = int(torch.where(free, value, -math.inf).argmax())
        chosen.append(index)
        free[index] = False
        best = max(best, float(mean[index]))
        surrogate = surrogate.believe(codes[index : index + 1])
    return chosen


def choose_by_thompson(surrogate: SparseGP, codes: Tensor, n: int, generator: torch.Generator) -> list[int]:
    """Indices of n of the codes (N, D): the maxima of n functions drawn from the surrogate, none of them twice."""
    drawn = surrogate.sample(codes, min(n, len(codes)), generator)
    chosen: list[int] = []
    for row in drawn:
        row[chosen] = -math.inf
        chosen.append(int(row.argmax()))
    return chosen


def choose_by_hypervolume(
    surrogates: Sequence[SparseGP], values: NDArray[Any], baseline: Tensor, codes: Tensor, n: int, seed: int
) -> list[int]:
    """Indices of n of the codes (N, D) by BoTorch's qLogNEHVI, one after the other, for M values, larger better.

    The reference point is a tenth of the front's range below its worst value, as BoTorch infers it.

    Parameters
    ----------
    surrogates
        One for each of the M values.
    values
        (K, M), what was observed at the codes ``baseline`` (K, D): the front that is to be moved.
    seed
        Seed of the draws behind the expectation.

    Raises
    ------
    MissingExtraError
        Without BoTorch.
    """
    try:
        from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
        from botorch.sampling.normal import SobolQMCNormalSampler
        from botorch.utils.multi_objective.hypervolume import infer_reference_point

        from grammar_rae.optimization.botorch_model import Surrogates
    except ImportError as error:
        raise MissingExtraError("botorch", "bo", "an optimisation of several scores") from error
    observed = torch.from_numpy(np.asarray(values, np.float64))
    with torch.random.fork_rng(devices=[]):  # BoTorch prunes the front by draws from the global generator
        torch.default_generator.manual_seed(seed)
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model=Surrogates(surrogates),
            ref_point=infer_reference_point(observed),
            X_baseline=baseline,
            sampler=SobolQMCNormalSampler(torch.Size([64]), seed=seed % 2**31),
            prune_baseline=True,
            cache_root=False,
        )
    chosen: list[int] = []
    free = torch.ones(len(codes), dtype=torch.bool)
    with torch.no_grad():
        for _ in range(min(n, len(codes))):
            value = torch.cat([acquisition(part.unsqueeze(1)) for part in torch.split(codes, 256)])
            index = int(torch.where(free, value, -math.inf).argmax())
            chosen.append(index)
            free[index] = False
            acquisition.set_X_pending(codes[chosen])
    return chosen
