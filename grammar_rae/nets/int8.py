"""Weights of eight bits: linear layers and GRUs that multiply in integers, for drawing on a CPU.

A weight becomes an integer from -127 to 127 times its output's scale. What is multiplied by it is rounded to seven bits
as it comes, with one scale for the whole batch: so that no product of any instruction set overflows, and all machines
have the same integers. These layers draw; they cannot be trained or saved.
"""

import warnings
from copy import deepcopy

import torch
from torch import Tensor, nn

from grammar_rae.errors import InputError
from grammar_rae.nets.sequence import GRUDecoder

LEAST = 1e-8
"""The scale of an output all of whose weights are 0."""


class Int8Linear(nn.Module):
    """A dense layer with weights (O, I) of eight bits and a bias (O,), or none."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.packed = _pack(weight.detach().float().contiguous(), None if bias is None else bias.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (..., O) of inputs (..., I)."""
        out: Tensor = torch.ops.quantized.linear_dynamic(x.float(), self.packed, reduce_range=True)
        return out


def _pack(weight: Tensor, bias: Tensor | None) -> object:
    """The rounded weights as PyTorch's integer products take them, which it means to replace one day."""
    scales = (weight.abs().amax(1) / 127).clamp_min(LEAST).double()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
            rounded = torch.quantize_per_channel(weight, scales, torch.zeros(len(scales)).long(), 0, torch.qint8)
        return torch.ops.quantized.linear_prepack(rounded, bias)
    except (AttributeError, RuntimeError) as error:
        raise InputError(
            "this build of PyTorch cannot multiply by weights of eight bits",
            received=f"PyTorch {torch.__version__}",
            remedy="Draw with the model as it is.",
        ) from error


class Int8GRU(nn.Module):
    """What ``nn.GRU`` with the batch first computes, layer by layer and step by step."""

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        layers = [[getattr(gru, f"{name}_l{index}") for name in _PARTS] for index in range(gru.num_layers)]
        self.inputs = nn.ModuleList(Int8Linear(weight, bias) for weight, _, bias, _ in layers)
        self.states = nn.ModuleList(Int8Linear(weight, bias) for _, weight, _, bias in layers)

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """States of the last layer (B, T, H) and last states (L, B, H), of inputs (B, T, I) and states (L, B, H)."""
        ends = []
        for to_gates, from_state, state in zip(self.inputs, self.states, hidden, strict=True):
            told = to_gates(x.flatten(0, 1)).view(*x.shape[:2], -1)
            states = []
            for at_step in told.unbind(1):
                state = _turn(at_step, from_state(state), state)
                states.append(state)
            x = torch.stack(states, dim=1)
            ends.append(state)
        return x, torch.stack(ends)


_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _turn(told: Tensor, known: Tensor, state: Tensor) -> Tensor:
    """The state (B, H) after one step, from both products (B, 3 H): reset, update and new gates."""
    size = state.shape[1]
    gates = torch.sigmoid(told[:, : 2 * size] + known[:, : 2 * size])
    reset, update = torch.split(gates, size, dim=1)
    new = torch.tanh(torch.addcmul(told[:, 2 * size :], reset, known[:, 2 * size :]))
    return torch.lerp(new, state, update)


def with_int8(decoder: GRUDecoder) -> GRUDecoder:
    """A decoder like another one, whose recurrence and logits have weights of eight bits."""
    found = deepcopy(decoder).requires_grad_(False).eval()
    found.gru = Int8GRU(decoder.gru)  # type: ignore[assignment]
    found.logits = nn.Sequential(
        *(Int8Linear(part.weight, part.bias) for part in decoder.logits.modules() if isinstance(part, nn.Linear))
    )
    return found


def has_int8(module: nn.Module) -> bool:
    """Whether some weights of a module are of eight bits."""
    return any(isinstance(part, Int8Linear) for part in module.modules())
