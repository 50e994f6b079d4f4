"""Likelihoods: how badly the decoder's output explains the input, as the negative log-likelihood of each row.

A likelihood is called with the decoder's output and the input, and gives the reconstruction cost (B,) and whether the
most likely output is exactly the input, Bool (B,).
"""

import math

import torch
from torch import Tensor, nn

from grammar_rae.grammar import Rules


class Likelihood(nn.Module):
    """The base of all likelihoods."""

    def present(self, x: Tensor) -> Tensor | None:
        """The mask of the decoder's outputs that count for inputs x: Bool of its first dimensions, or None for all."""
        return None


class MaskedCategorical(Likelihood):
    r"""Tokens, each drawn from the rules that expand its left-hand side.

    The cost is :math:`-\sum_t \log \operatorname{softmax}_{r : \mathrm{lhs}(r) = \mathrm{lhs}(x_t)}(\ell_t)_{x_t}`, in
    nats.

    The left-hand side is known when a step is decoded, so no probability is spent on rules that cannot stand there.

    Parameters
    ----------
    rules
        The codec's table.
    """

    mask: Tensor
    lhs: Tensor

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        mask = torch.zeros(rules.n_nonterminals, rules.size, dtype=torch.bfloat16)  # which holds 0 and -inf as well
        mask.masked_fill_(~torch.from_numpy(rules.lhs_mask), -torch.inf)
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("lhs", torch.from_numpy(rules.lhs.copy()), persistent=False)

    def present(self, x: Tensor) -> Tensor:
        """The steps (B, T) of tokens x that are not padding."""
        return x >= 0

    def forward(self, logits: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, R) and tokens (B, T), padded with -1, to cost (B,) and exactness (B,)."""
        present = self.present(tokens)
        chosen = tokens[present]
        masked = logits[present].float()
        masked += self.mask[self.lhs[chosen]]  # in place: at a thousand rules this is the step's largest tensor
        cost = torch.zeros(tokens.shape, device=tokens.device)
        cost[present] = self._cost(masked, chosen)
        with torch.no_grad():
            right = torch.ones_like(present)
            right[present] = masked.argmax(dim=-1) == chosen
        return cost.sum(dim=1), right.all(dim=1)

    def _cost(self, masked: Tensor, chosen: Tensor) -> Tensor:
        """The cost (N,) of the tokens chosen (N,), given masked logits (N, R)."""
        return nn.functional.cross_entropy(masked, chosen, reduction="none")


class MaskedBinary(MaskedCategorical):
    r"""The grammar VAE's cost of a step (Kusner et al., 2017), with an independent coin for each rule allowed there.

    The cost is :math:`-\sum_t \big[ \log p_t(x_t) + \sum_{r \neq x_t} \log(1 - p_t(r)) \big]` with :math:`p_t` the
    masked softmax of :class:`MaskedCategorical`.

    It is the binary cross-entropy of one-hot vectors, summed over steps and rules. Beside the token's own likelihood it
    punishes a wrong rule that is likely, most of all a single one.
    """

    def _cost(self, masked: Tensor, chosen: Tensor) -> Tensor:
        log_p = nn.functional.log_softmax(masked, dim=-1)
        right = log_p.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
        wrong = log_p.scatter(-1, chosen.unsqueeze(-1), -torch.inf)
        # log(1 - p), kept away from -inf as p approaches 1.
        others = torch.log1p(-wrong.exp().clamp(max=1 - 1e-6))
        return -(right + others.sum(dim=-1))


class SquaredError(Likelihood):
    r"""The squared error of pixels, as in the paper: :math:`\sum_i (x_i - D_i)^2`.

    Up to a constant, it is the negative log-likelihood of a Gaussian of variance 1/2.

    A reconstruction is exact where every pixel, rounded to one of 256 levels, is the input's.
    """

    def forward(self, out: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Decoded and true images (B, C, H, W) to cost (B,) and exactness (B,)."""
        error = (out.float() - images).flatten(1)
        return error.square().sum(dim=1), (error.detach().abs() < 0.5 / 255).all(dim=1)


class LearnedGaussian(SquaredError):  # noqa: N818 (its base is not an exception)
    r"""Pixels under a Gaussian whose scale is learned with the nets (Dai and Wipf, ICLR 2019).

    The cost in nats is :math:`\lVert x - D \rVert^2 / 2\gamma^2 + n \log \gamma + \tfrac n2 \log 2\pi` for n pixels.

    The scale begins at 1, where every image looks like noise, and Adam moves its logarithm by the learning rate a step
    at most: small data need a large rate or many epochs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, out: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Decoded and true images (B, C, H, W) to cost (B,) and exactness (B,)."""
        squares, exact = super().forward(out, images)
        pixels = images[0].numel()
        log_scale = self.log_scale.float()
        cost = 0.5 * squares * torch.exp(-2 * log_scale) + pixels * (log_scale + 0.5 * math.log(2 * math.pi))
        return cost, exact


LIKELIHOODS: dict[str, type[Likelihood]] = {"categorical": MaskedCategorical, "binary": MaskedBinary}
"""Likelihoods of tokens: ``Likelihood(rules)``."""

IMAGE_LIKELIHOODS: dict[str, type[Likelihood]] = {"squared-error": SquaredError, "learned-gaussian": LearnedGaussian}
"""Likelihoods of images: ``Likelihood()``."""
