"""Regularisers of the decoder: hooks of the training step, each of which may do nothing.

``prepare(encoder, decoder)`` changes the nets once, before training; ``context(decoder)`` surrounds each forward pass;
``blank(n, generator)`` says of which rows the decoder sees no code in training; ``perturb(z, generator)`` gives
what it sees of a code in training, ``smooth(z, smoothing, generator)`` what it sees afterwards, ``nothing(n, latent)``
what it sees where there is no code; ``penalty(decoder, z, out, present, generator)`` is added to the loss.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from grammar_rae.checks import is_number
from grammar_rae.errors import InputError

WAVES = 8
"""Cosines that tell a level of noise."""


class Regularizer:
    """What a regulariser may do to a training step; by itself, nothing."""

    twice: ClassVar[bool] = False
    """Whether the penalty makes training differentiate the decoder twice."""

    conditions: int = 0
    """How many numbers the decoder is given beside z."""

    def prepare(self, encoder: nn.Module, decoder: nn.Module) -> None:
        """Change the nets before training."""

    def context(self, decoder: nn.Module) -> AbstractContextManager[object]:
        """What the forward pass runs in."""
        return nullcontext()

    def blank(self, n: int, generator: torch.Generator | None = None, device: Any = None) -> Tensor | None:
        """Of which of n rows the decoder sees no code in this step, bool (n,); None where it sees all."""
        return None

    def perturb(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the decoder sees of z (B, D) in training: (B, D + conditions)."""
        return z

    def nothing(self, n: int, latent: int, device: Any = None) -> Tensor:
        """What the decoder sees of n rows without a code: (n, D + conditions).

        Raises
        ------
        InputError
            For a decoder that always had a code in training.
        """
        raise InputError(
            "this model's decoder knows of no rows without a code",
            remedy="Train with the regulariser noise-conditioned and its option nothing.",
        )

    def smooth(self, z: Tensor, smoothing: float | Tensor = 0.0, generator: torch.Generator | None = None) -> Tensor:
        """What the decoder sees of z (B, D) when it is not trained: (B, D + conditions).

        Raises
        ------
        InputError
            For smoothing that is negative or not finite, or asked of a decoder that does not know of it.
        """
        if _check_positive("smoothing", smoothing) != 0:
            raise InputError(
                "this model does not support smoothing",
                received=f"smoothing {smoothing}",
                expected="0",
                remedy="Train with the regulariser noise-conditioned.",
            )
        return z

    def penalty(
        self,
        decoder: nn.Module,
        z: Tensor,
        out: Tensor,
        present: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The cost to add, a float32 scalar.

        ``out`` is ``decoder(z)``, and ``present`` (Bool, of its first dimensions) says which parts of it count; all do
        without it.
        """
        return z.new_zeros((), dtype=torch.float32)


class NoRegularizer(Regularizer):
    """No regularisation."""


class L2(Regularizer):
    r"""The squared norm of the decoder's kernels, :math:`\lambda \lVert \theta \rVert_2^2` (paper, RAE-L2).

    Kernels are parameters of two or more dimensions: weights and embeddings, neither biases nor normalisation.
    """

    def __init__(self, weight: float = 1e-6) -> None:
        self.weight = _check_positive("weight of the regulariser", weight)

    def penalty(
        self,
        decoder: nn.Module,
        z: Tensor,
        out: Tensor,
        present: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The cost to add, a float32 scalar."""
        total = z.new_zeros((), dtype=torch.float32)
        for parameter in decoder.parameters():
            if parameter.ndim >= 2:
                total = total + parameter.float().square().sum()
        return self.weight * total


class GradientPenalty(Regularizer):
    r"""How fast the decoder's output changes with the code, at the batch's codes (paper, RAE-GP).

    - ``"output"``, as the paper's authors ran it:
      :math:`\lambda \, \mathbb E_z \lVert \nabla_z \textstyle\sum_i D_i(z)^2 \rVert^2`; for a linear decoder
      D(z) = Wz + b it is :math:`4 \lambda \lVert W^\top D(z) \rVert^2`.
    - ``"jacobian"``, as the paper writes it: :math:`\lambda \, \mathbb E_z \lVert \partial D / \partial z \rVert_F^2`,
      by random projections, :math:`\lVert J \rVert_F^2 = \mathbb E_v \lVert J^\top v \rVert^2` for v of N(0, I), which
      is unbiased and costs no more than the first.

    The gradient is one with respect to z, not to the input: what is to be smooth is the decoder.

    Parameters
    ----------
    weight
        Lambda.
    variant
        ``"output"`` or ``"jacobian"``.
    projections
        How many v the second one averages over.
    """

    twice = True

    def __init__(self, weight: float = 1e-6, variant: str = "output", projections: int = 1) -> None:
        self.weight = _check_positive("weight of the regulariser", weight)
        if variant not in ("output", "jacobian"):
            raise InputError(
                "unknown variant of the gradient penalty", received=repr(variant), expected="output or jacobian"
            )
        if type(projections) is not int or projections < 1:
            raise InputError("invalid projections", received=repr(projections), expected="1 or more")
        self.variant = variant
        self.projections = projections

    @contextmanager
    def context(self, decoder: nn.Module) -> Iterator[None]:
        """A forward pass that can be differentiated twice, also when nothing is trained, as in a validation."""
        # cuDNN's recurrent kernels have no second derivative; PyTorch's own have.
        recurrent = any(isinstance(module, nn.RNNBase) for module in decoder.modules())
        kernels = torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()
        with torch.enable_grad(), kernels:
            yield

    def penalty(
        self,
        decoder: nn.Module,
        z: Tensor,
        out: Tensor,
        present: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The cost to add, a float32 scalar."""
        if self.weight == 0:  # as the paper's own setting for CIFAR-10 has it
            return super().penalty(decoder, z, out)
        values = (out if present is None else out[present]).float()
        if self.variant == "output":
            return self.weight * _squared_gradient(values.square().sum(), z)
        found = []
        for _ in range(self.projections):
            v = torch.randn(values.shape, generator=generator, device=values.device)
            found.append(_squared_gradient((values * v).sum(), z))
        return self.weight * torch.stack(found).mean()


class SpectralNorm(Regularizer):
    r"""Weights divided by their largest singular value (paper, RAE-SN; Miyato et al., ICLR 2018).

    Power iteration follows the singular values through the training. Every dense layer, convolution and recurrent
    matrix is a matrix of one row for each output; a transposed convolution keeps its outputs in its second dimension.
    Embeddings and normalisation stay as they are.

    Parameters
    ----------
    iterations
        Power iterations a step.
    encoder
        Whether the encoder is normalised too.
    """

    def __init__(self, iterations: int = 1, encoder: bool = False) -> None:
        if type(iterations) is not int or iterations < 1:
            raise InputError("invalid iterations", received=repr(iterations), expected="1 or more")
        self.iterations = iterations
        self.encoder = encoder

    def prepare(self, encoder: nn.Module, decoder: nn.Module) -> None:
        """Put the normalisation into the nets."""
        for net in (encoder, decoder) if self.encoder else (decoder,):
            for module in list(net.modules()):
                for name in _matrices(module):
                    # Its own rule for `dim` is the one wanted: 1 for transposed convolutions, else 0.
                    parametrizations.spectral_norm(module, name, n_power_iterations=self.iterations)
                if isinstance(module, nn.RNNBase):
                    module.register_forward_pre_hook(_refresh_weights)
                    module.register_forward_hook(_detach_weights)

    def context(self, decoder: nn.Module) -> AbstractContextManager[object]:
        """Each weight is normalised once: a recurrent layer asks for its weights several times."""
        return parametrize.cached()


class InstanceNoise(Regularizer):
    r"""Noise on what the decoder sees: :math:`D(z + \sigma \epsilon)` in training, D(z) afterwards (paper, section 3).

    Parameters
    ----------
    scale
        The standard deviation, sigma.
    """

    def __init__(self, scale: float = 0.1) -> None:
        self.scale = _check_positive("scale of the noise", scale)

    def perturb(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """z (B, D) and noise."""
        return z + self.scale * torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)


class NoiseConditioned(Regularizer):
    r"""Noise of every level, and a decoder that is told the level.

    In training each code is seen as

    .. math:: \Big( \frac{z + \sigma \epsilon}{\sqrt{1 + \sigma^2}},\; f(\log \sigma) \Big), \qquad
        \epsilon \sim \mathcal N(0, I),

    with a level :math:`\sigma` of its own: 0 for a share of the rows, else log-uniform in a range, or nearer to its
    highest; f is a cosine basis of :math:`\log \sigma` over the range, and a mark for 0. At :math:`\sigma = 0` the
    decoder learns to reconstruct; at larger levels it learns to write what is likely given as much of a code as is
    left, down to none.

    To sample, a z of the density gets noise of a chosen level, the *smoothing*, and the decoder is told. A density
    never fits the codes well, but with noise on both, its draws and the codes come near each other: the decoder then
    sees what it was trained on, at the price of following z less. So one model reconstructs (smoothing 0) and samples.

    Codes should have about unit variance, as the objective ``layer-norm`` makes them.

    Parameters
    ----------
    lowest, highest
        The range of the levels.
    clean
        The share of rows without noise.
    nothing
        The share of rows of which noise leaves nothing, the limit :math:`\sigma \to \infty`: the decoder sees 0 in the
        place of z, and a mark of its own. Such rows need no encoder, and make the decoder a model of its own.
    skew
        How much more often high levels are drawn than low ones: of :math:`\log \sigma`, on a scale from 0 to 1 over the
        range, the density is :math:`k x^{k - 1}`. At 1 all are as frequent; at 2.5 half of the levels are above the
        share :math:`2^{-1/2.5} = 0.76` of the range. A training that goes on from a model that reconstructs learns
        more from the levels at which it samples.
    """

    def __init__(
        self,
        lowest: float = 0.1,
        highest: float = 6.0,
        clean: float = 0.3,
        nothing: float = 0.0,
        skew: float = 1.0,
    ) -> None:
        self.without = _check_positive("share of rows without a code", nothing)
        self.conditions = 1 + WAVES + (nothing > 0)
        self.lowest = _check_positive("lowest level of the noise", lowest)
        self.highest = _check_positive("highest level of the noise", highest)
        self.clean = _check_positive("share of rows without noise", clean)
        self.skew = _check_positive("skew of the noise levels", skew)
        if not 0 < lowest < highest or clean > 1 or nothing >= 1 or skew == 0:
            raise InputError(
                "invalid noise levels",
                received=f"lowest {lowest}, highest {highest}, clean {clean}, nothing {nothing}, skew {skew}",
                expected="0 < lowest < highest, clean at most 1, nothing below 1, and a skew above 0",
            )

    def blank(self, n: int, generator: torch.Generator | None = None, device: Any = None) -> Tensor | None:
        """Of which of n rows the decoder sees no code in this step, bool (n,); None where it sees all."""
        if not self.without:
            return None
        blank = torch.rand(n, generator=generator, device=device) < self.without
        blank[0] &= ~blank.all()  # an encoder wants a row
        return blank

    def perturb(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the decoder sees of z (B, D) in training: (B, D + conditions)."""
        share, level = torch.rand(2, len(z), 1, generator=generator, device=z.device)
        sigma = self.lowest * (self.highest / self.lowest) ** level ** (1 / self.skew)
        return self._observe(z, torch.where(share < self.clean, 0.0, sigma), generator)

    def nothing(self, n: int, latent: int, device: Any = None) -> Tensor:
        """What the decoder sees of n rows without a code: (n, D + conditions).

        Raises
        ------
        InputError
            For a decoder that always had a code in training.
        """
        if not self.without:
            return super().nothing(n, latent, device)
        seen = torch.zeros(n, latent + self.conditions, device=device)
        seen[:, -1] = 1
        return seen

    def smooth(self, z: Tensor, smoothing: float | Tensor = 0.0, generator: torch.Generator | None = None) -> Tensor:
        """What the decoder sees of z (B, D) with noise of one level, or of B levels (B,): (B, D + conditions).

        Levels below the lowest are told as the lowest, and those above the highest as the highest.

        Raises
        ------
        InputError
            For smoothing that is negative or not finite.
        """
        if isinstance(smoothing, Tensor):
            sigma = smoothing.to(z.device, torch.float32).unsqueeze(1)
            if len(sigma) != len(z) or not bool((sigma.isfinite() & (sigma >= 0)).all()):
                raise InputError(
                    "invalid smoothing", received=f"{len(sigma)} levels", expected=f"{len(z)}, finite and 0 or more"
                )
        else:
            sigma = torch.full((len(z), 1), float(_check_positive("smoothing", smoothing)), device=z.device)
        return self._observe(z, sigma, generator if bool(sigma.any()) else None)

    def _observe(self, z: Tensor, sigma: Tensor, generator: torch.Generator | None) -> Tensor:
        noisy = sigma > 0
        level = (sigma.clamp(self.lowest, self.highest) / self.lowest).log() / math.log(self.highest / self.lowest)
        waves = torch.cos(math.pi * level * torch.arange(WAVES, device=z.device)) * noisy
        if bool(noisy.any()):
            noise = torch.randn(z.shape, generator=generator, device=z.device, dtype=torch.float32)
            z = ((z.float() + sigma * noise) / (1 + sigma.square()).sqrt()).to(z.dtype)
        some_code = z.new_zeros(len(z), 1 if self.without else 0)
        return torch.cat([z, (~noisy).to(z.dtype), waves.to(z.dtype), some_code], dim=1)


class WeightClipping(Regularizer):
    r"""Kernels of the decoder kept in :math:`[-c, c]`, as in the first Wasserstein GAN (paper, section 3).

    They are clipped before each forward pass, thus after each step, and before each validation.

    Parameters
    ----------
    limit
        c.
    """

    def __init__(self, limit: float = 0.1) -> None:
        self.limit = _check_positive("limit of the weights", limit)

    def context(self, decoder: nn.Module) -> AbstractContextManager[object]:
        """Clip, then run."""
        with torch.no_grad():
            for parameter in decoder.parameters():
                if parameter.ndim >= 2:
                    parameter.clamp_(-self.limit, self.limit)
        return nullcontext()


_LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


def _check_positive(what: str, value: Any) -> float:
    if not is_number(value) or not 0 <= value < float("inf"):
        raise InputError(f"invalid {what}", received=repr(value), expected="finite, 0 or more")
    found: float = value
    return found


def _squared_gradient(total: Tensor, z: Tensor) -> Tensor:
    """The squared norm of the gradient by z (B, D), its mean over the rows."""
    (gradient,) = torch.autograd.grad(total, z, create_graph=True)
    return gradient.float().square().sum(dim=1).mean()


def _matrices(module: nn.Module) -> list[str]:
    """The names of a layer's weights that are matrices between its input and its output."""
    if isinstance(module, nn.RNNBase):
        return [name for name, _ in module.named_parameters(recurse=False) if name.startswith("weight")]
    return ["weight"] if isinstance(module, _LAYERS) else []


def _refresh_weights(module: nn.Module, _: Any) -> None:
    """Recurrent layers keep a list of their weights, which does not see that a weight is computed anew."""
    names: list[str] = module._flat_weights_names  # type: ignore[assignment]
    module._flat_weights = [getattr(module, name) for name in names]  # type: ignore[assignment]


def _detach_weights(module: nn.Module, *_: Any) -> None:
    """What stays in that list is a copy without a graph: a module that keeps a graph cannot be copied."""
    weights: list[Tensor] = module._flat_weights  # type: ignore[assignment]
    module._flat_weights = [weight.detach() for weight in weights]  # type: ignore[assignment]


REGULARIZERS: dict[str, type[Regularizer]] = {
    "none": NoRegularizer,
    "l2": L2,
    "gradient-penalty": GradientPenalty,
    "spectral-norm": SpectralNorm,
    "instance-noise": InstanceNoise,
    "noise-conditioned": NoiseConditioned,
    "weight-clipping": WeightClipping,
}
"""Regularisers: ``Regularizer(**options)``."""
