r"""Codes that are moved until the decoder gives their texts back.

An encoder sees a text once, and misses by a little what the decoder would need. The decoder says which way it lies: a
few steps down the gradient of :math:`-\log p(x \mid z)` in z bring a code to where each token of x is the likeliest one
(semi-amortised inference: Kim et al., ICML 2018). A code from which its text comes back stays as it is.
"""

import torch
from torch import Tensor

from grammar_rae.autoencoder import Autoencoder

AT_ONCE = 64
"""Rows whose gradients are held at a time: with 2,600 rules and 96 steps about 250 MB."""

STEP = 0.1
"""How far each number of a code moves in the first step, in root mean squares of the code."""

_SLOPE, _SQUARE = 0.9, 0.99  # how much of the means of gradients and of their squares a step keeps, as Adam does


def choose_polish(polish: int | None, nearest: int | None) -> int | None:
    """The steps that are asked for; none where ``nearest`` compares codes as the encoder gives them."""
    return 0 if polish is None and nearest is not None else polish


def come_back(nets: Autoencoder, x: Tensor, z: Tensor) -> Tensor:
    """Whether tokens x (B, T) are the likeliest ones of their codes z (B, D): bool (B,)."""
    with torch.no_grad():
        return torch.cat(
            [_judge(nets, *part)[1] for part in zip(torch.split(z, AT_ONCE), torch.split(x, AT_ONCE), strict=True)]
        )


def polish_codes(nets: Autoencoder, x: Tensor, z: Tensor, steps: int) -> Tensor:
    """The codes z (B, D) of tokens x (B, T), those from which the tokens do not come back moved in ``steps`` at most.

    Where the tokens of a row do not come back in the end, it gets the code that made them likeliest.
    """
    # Gradients of recurrent layers by cuDNN are for nets that train.
    with torch.backends.cudnn.flags(enabled=False):
        parts = zip(torch.split(x, AT_ONCE), torch.split(z, AT_ONCE), strict=True)
        return torch.cat([_descend(nets, tokens, codes, steps) for tokens, codes in parts])


def _judge(nets: Autoencoder, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """What tokens cost given their codes, and whether each is the likeliest one: (B,) both."""
    x = x[:, : int((x >= 0).sum(dim=1).max())]
    cost, exact = nets.likelihood(nets.decoder(nets.smooth(z), x), x)
    return cost.float(), exact


def _descend(nets: Autoencoder, x: Tensor, z: Tensor, steps: int) -> Tensor:
    best, least = z.clone(), z.new_full((len(z),), torch.inf, dtype=torch.float32)
    rows, code = torch.arange(len(z), device=z.device), z
    slope, square = torch.zeros_like(z), torch.zeros_like(z)
    step = STEP * z.square().mean(dim=1, keepdim=True).sqrt()
    for turn in range(steps + 1):
        with torch.enable_grad():
            code = code.detach().requires_grad_()
            cost, exact = _judge(nets, code, x)
            going = ~exact
            gradient = torch.autograd.grad(cost.sum(), code)[0] if turn < steps and going.any() else None
        code, cost = code.detach(), torch.where(exact, -torch.inf, cost.detach())
        better = cost < least[rows]
        best[rows[better]], least[rows[better]] = code[better], cost[better]
        if gradient is None:
            break
        rows, x, code, gradient, step = rows[going], x[going], code[going], gradient[going], step[going]
        slope = _SLOPE * slope[going] + (1 - _SLOPE) * gradient
        square = _SQUARE * square[going] + (1 - _SQUARE) * gradient.square()
        unbiased, scale = slope / (1 - _SLOPE ** (turn + 1)), (square / (1 - _SQUARE ** (turn + 1))).sqrt()
        code = nets.objective.project(code - step * unbiased / (scale + 1e-12))
    return best
