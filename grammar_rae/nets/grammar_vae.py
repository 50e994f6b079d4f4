"""The nets of the grammar VAE (Kusner, Paige and Hernández-Lobato, ICML 2017), which the paper of the RAE adopts.

The encoder is a stack of convolutions over one-hot tokens; the decoder gets the same z at every
position and never sees its earlier decisions: it computes the logits of all positions at once.

Two details differ from the original, as in PyTorch: a GRU's reset gate is applied after its recurrent product and its
gates are true sigmoids; and weights are initialised by PyTorch's defaults.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grammar_rae.errors import InputError
from grammar_rae.grammar import Rules
from grammar_rae.nets.lengths import check_length


class OneHotConvolution(nn.Module):
    """A convolution over one-hot vectors of tokens that looks up the kernel's columns instead of building the vectors.

    It equals ``Conv1d(R + 1, channels, width)`` on the one-hot vectors of tokens in 0..R, where R is the padding.
    """

    def __init__(self, n_tokens: int, channels: int, width: int) -> None:
        super().__init__()
        # As PyTorch initialises a convolution of n_tokens + 1 inputs.
        bound = ((n_tokens + 1) * width) ** -0.5
        self.columns = nn.Parameter(torch.empty(n_tokens + 1, width * channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels).uniform_(-bound, bound))
        self.width = width

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) in 0..R to (B, C, T - width + 1)."""
        columns = nn.functional.embedding(tokens, self.columns).view(*tokens.shape, self.width, -1)
        n = tokens.shape[1] - self.width + 1
        out = torch.stack([columns[:, shift : shift + n, shift] for shift in range(self.width)]).sum(0)
        return (out + self.bias).transpose(1, 2)


class GrammarVAEEncoder(nn.Module):
    """Tokens through "valid" convolutions and a dense layer, each with a ReLU, then a dense layer to h.

    Tokens are padded to ``max_length``; padding is a token of its own, like the production without a symbol of
    the original.

    Parameters
    ----------
    rules, n_outputs, max_length
        The codec's table, of which only the size is used; H; and the number of positions.
    channels, widths
        The convolutions' outputs and widths.
    dense
        The size of the layer before h.
    batch_norm
        Whether batch normalisation follows each convolution's ReLU.
    """

    def __init__(
        self,
        rules: Rules,
        n_outputs: int,
        max_length: int,
        channels: Sequence[int] = (9, 9, 10),
        widths: Sequence[int] = (9, 9, 11),
        dense: int = 435,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        left = max_length - sum(width - 1 for width in widths)
        if len(channels) != len(widths) or not channels or left < 1:
            raise InputError(
                "channels and widths of the convolutions do not fit",
                received=f"channels {list(channels)}, widths {list(widths)}, {max_length} tokens",
                expected=f"a width for each of the channels, and more than {sum(widths) - len(widths)} tokens",
            )
        self.padding = rules.size
        self.max_length = max_length
        layers: list[nn.Module] = [OneHotConvolution(rules.size, channels[0], widths[0])]
        for (before, after), width in zip(pairwise(channels), widths[1:], strict=True):
            layers += [*_activation(before, batch_norm), nn.Conv1d(before, after, width)]
        layers += [*_activation(channels[-1], batch_norm), nn.Flatten()]
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Linear(left * channels[-1], dense)
        self.outputs = nn.Linear(dense, n_outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) to h (B, H); InputError if T exceeds ``max_length``."""
        check_length(tokens, self.max_length)
        padded = nn.functional.pad(tokens, (0, self.max_length - tokens.shape[1]), value=-1)
        h: Tensor = self.outputs(
            torch.relu(self.dense(self.convolutions(padded.masked_fill(padded < 0, self.padding))))
        )
        return h


class Positions(NamedTuple):
    """The logits (N, T, R) of all positions, the rows ``kept`` (B,) that are still decoded, and the next position."""

    logits: Tensor
    kept: Tensor
    position: int

    def rows(self, keep: Tensor) -> "Positions":
        """The state of some rows."""
        return self._replace(kept=self.kept[keep])


class GrammarVAEDecoder(nn.Module):
    """A dense layer of z, repeated to a stack of GRUs, and a dense layer to the logits of each position.

    Parameters
    ----------
    rules, latent, max_length
        The codec's table, of which only the size is used; D; and T, the positions that can be decoded.
    hidden, layers
        The size of the GRUs' states, and how many there are.
    batch_norm
        Whether z is batch-normalised first.
    """

    def __init__(
        self, rules: Rules, latent: int, max_length: int, hidden: int = 501, layers: int = 3, batch_norm: bool = False
    ) -> None:
        super().__init__()
        self.max_length = max_length
        self.norm = batch_normalisation(latent) if batch_norm else nn.Identity()
        self.from_latent = nn.Linear(latent, latent)
        self.gru = nn.GRU(latent, hidden, num_layers=layers, batch_first=True)
        self.logits = nn.Linear(hidden, rules.size)

    def all_logits(self, z: Tensor, length: int) -> Tensor:
        """The logits (B, T, R) of ``length`` positions, given z (B, D)."""
        x = torch.relu(self.from_latent(self.norm(z)))
        out, _ = self.gru(x.unsqueeze(1).expand(-1, length, -1))
        logits: Tensor = self.logits(out)
        return logits

    def forward(self, z: Tensor, tokens: Tensor) -> Tensor:
        """The logits (B, T, R), given z (B, D); only the length of the tokens (B, T) matters."""
        return self.all_logits(z, tokens.shape[1])

    def begin(self, z: Tensor) -> Positions:
        """The logits of all positions, from z (B, D)."""
        return Positions(self.all_logits(z, self.max_length), torch.arange(len(z), device=z.device), 0)

    def step(self, state: Positions, previous: Tensor | None, lhs: Tensor) -> tuple[Tensor, Positions]:
        """The logits (B, R) of the next position, whatever came before it."""
        return state.logits[state.kept, state.position], state._replace(position=state.position + 1)


def _activation(channels: int, batch_norm: bool) -> list[nn.Module]:
    return [nn.ReLU(), *([batch_normalisation(channels)] if batch_norm else [])]


def batch_normalisation(channels: int) -> nn.BatchNorm1d:
    """Batch normalisation with the original library's constants: momentum 0.01, and 0.001 in the root.

    PyTorch's momentum of 0.1 makes the validation loss so restless that the plateau schedule gives up.
    """
    return nn.BatchNorm1d(channels, eps=1e-3, momentum=0.01)
