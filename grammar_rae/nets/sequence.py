"""Nets over sequences of tokens.

Tokens come as int64 (B, T), padded with -1. Encoders give h (B, H); decoders give, for each position, logits over all R
tokens, and decode step by step when there is nothing to read from yet.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from grammar_rae.errors import InputError
from grammar_rae.grammar import Rules
from grammar_rae.nets.grammar_vae import GrammarVAEDecoder, GrammarVAEEncoder
from grammar_rae.nets.lengths import check_length


class ConvEncoder(nn.Module):
    """Tokens through same-size convolutions, then one dense layer over all positions, as in the paper's encoders.

    The dense layer has its own weights for each position, so it keeps the order that a pooling would lose; positions
    past the longest token of a batch are never computed.

    Parameters
    ----------
    rules
        The codec's table; only its size is used.
    n_outputs
        H.
    max_length
        The most positions that can be read.
    embedding, channels, widths
        Sizes of the embedding, of each convolution's output, and each convolution's width (odd).
    """

    def __init__(
        self,
        rules: Rules,
        n_outputs: int,
        max_length: int,
        embedding: int = 128,
        channels: int = 192,
        widths: tuple[int, ...] = (3, 3, 5),
    ) -> None:
        super().__init__()
        if not all(width % 2 for width in widths):
            raise InputError("convolution widths must be odd", received=widths)
        self.embedding = nn.Embedding(rules.size + 1, embedding, padding_idx=rules.size)
        sizes = [embedding, *[channels] * len(widths)]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, width, padding=width // 2) for a, b, width in zip(sizes, sizes[1:], widths, strict=False)
        )
        self.max_length = max_length
        self.dense = nn.Linear(max_length * channels, n_outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) to h (B, H); InputError for more positions than there are weights."""
        check_length(tokens, self.max_length)
        present = (tokens >= 0).unsqueeze(1)
        x = self.embedding(torch.where(tokens >= 0, tokens, self.embedding.num_embeddings - 1)).transpose(1, 2)
        for convolution in self.convolutions:
            x = torch.relu(convolution(x)) * present
        flat = x.transpose(1, 2).flatten(1)
        return nn.functional.linear(flat, self.dense.weight[:, : flat.shape[1]], self.dense.bias)


class GRUEncoder(nn.Module):
    """Tokens through a bidirectional GRU; h is a dense layer on both last states.

    The backward direction reads each row from its own end: rows are reversed without their padding.

    Parameters
    ----------
    rules, n_outputs, max_length
        As for :class:`ConvEncoder`; the length is not limited here.
    embedding, hidden
        Sizes of the embedding and of each direction's state.
    """

    def __init__(self, rules: Rules, n_outputs: int, max_length: int, embedding: int = 128, hidden: int = 256) -> None:
        super().__init__()
        del max_length
        self.embedding = nn.Embedding(rules.size + 1, embedding, padding_idx=rules.size)
        self.onward = nn.GRU(embedding, hidden, batch_first=True)
        self.back = nn.GRU(embedding, hidden, batch_first=True)
        self.dense = nn.Linear(2 * hidden, n_outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) to h (B, H)."""
        lengths = (tokens >= 0).sum(1, keepdim=True)
        position = torch.arange(tokens.shape[1], device=tokens.device)
        reverse = (lengths - 1 - position).clamp(min=0)
        x = self.embedding(torch.where(tokens >= 0, tokens, self.embedding.num_embeddings - 1))
        last = (lengths - 1).unsqueeze(-1)
        ends = []
        for gru, order in ((self.onward, None), (self.back, reverse)):
            read = x if order is None else x.gather(1, order.unsqueeze(-1).expand_as(x))
            states, _ = gru(read)
            ends.append(states.gather(1, last.expand(-1, 1, states.shape[-1])).squeeze(1))
        h: Tensor = self.dense(torch.cat(ends, dim=-1))
        return h


FINE = 4.0
"""How much closer the second look at what is left of a property is than the first."""


class DecoderState(NamedTuple):
    """What an autoregressive decoder carries from step to step.

    ``hidden`` (B, H), of all layers one after another, ``context`` (B, C), from z, ``tally`` (B, V), how often each
    terminal was written, and what the row is told of K properties: ``left`` (B, K), how much of each has still to be
    written, and ``mask`` (B, K), which of them are told.
    """

    hidden: Tensor
    context: Tensor
    tally: Tensor
    left: Tensor
    mask: Tensor

    def rows(self, keep: Tensor) -> "DecoderState":
        """The state of some rows."""
        return DecoderState(*(part[keep] for part in self))


class GRUDecoder(nn.Module):
    """An autoregressive GRU, fed at each step with the previous token, the left-hand side to expand, and z.

    Parameters
    ----------
    rules
        The codec's table: its size and left-hand sides.
    latent
        D.
    embedding, hidden, context
        Sizes of the token embedding, of the state, and of the view of z that every step gets.
    tally
        Tell each step how often every terminal was written so far, and whether that is odd: of the number of a ring,
        an odd count is a ring that has to be closed.
    layers
        Recurrent layers, one upon the other.
    rank
        Make the logits by two matrices, with so many numbers between them; None for one matrix.
    told, told_hidden
        How many numbers stand behind z that the decoder is told of the row, and the width of their own path: a net of
        one hidden layer to the first state and to what every step gets.
    remaining
        Tell each step how much of each told property has still to be written: what was told, less what the tokens so
        far contribute to it by :attr:`contributions`. It needs a condition that tells K values, then K masks.

    Attributes
    ----------
    contributions
        What each of the R tokens adds to each standardised property, and last what there is before the first token:
        float32 (R + 1, K). :func:`grammar_rae.model.contributions.estimate_contributions` finds it in the data.
    """

    lhs: Tensor
    written: Tensor
    contributions: Tensor

    def __init__(
        self,
        rules: Rules,
        latent: int,
        max_length: int,
        embedding: int = 128,
        hidden: int = 512,
        context: int = 128,
        tally: bool = False,
        layers: int = 1,
        rank: int | None = None,
        told: int = 0,
        told_hidden: int = 256,
        remaining: bool = False,
    ) -> None:
        super().__init__()
        del max_length  # a recurrence has no longest sequence
        if remaining and told < 2:
            raise InputError(
                "nothing remains of properties that are not told", remedy="Choose the condition properties."
            )
        self.begin_token = rules.size
        self.register_buffer("lhs", torch.from_numpy(rules.lhs.copy()), persistent=False)
        self.token_embedding = nn.Embedding(rules.size + 1, embedding)
        self.lhs_embedding = nn.Embedding(rules.n_nonterminals, embedding)
        self.from_latent = nn.Linear(latent, layers * hidden + context)
        self.from_told = _told_path(told, told_hidden, layers * hidden + context) if told else None
        self.gru = nn.GRU(embedding + context, hidden, layers, batch_first=True)
        self.logits = _to_logits(hidden, rules.size, rank)
        self.hidden = hidden
        self.layers = layers
        terminals = rules.terminals[:, rules.terminals.any(axis=0)] if tally else rules.terminals[:, :0]
        nothing_yet = np.zeros_like(terminals[:1])
        # Of the token before the first step, too. Counts are exact as floats.
        written = np.concatenate([terminals, nothing_yet]).astype(np.float32)
        self.register_buffer("written", torch.from_numpy(written), persistent=False)
        self.from_tally = nn.Linear(2 * terminals.shape[1], embedding, bias=False) if tally else None
        n_properties = told // 2 if remaining else 0
        self.register_buffer("contributions", torch.zeros(rules.size + 1, n_properties), persistent=remaining)
        self.from_remaining = nn.Linear(2 * n_properties, embedding, bias=False) if remaining else None

    def begin(self, z: Tensor) -> DecoderState:
        """The state before the first step, from z (B, D) and what the row is told behind it."""
        latent, width = self.from_latent.in_features, self.layers * self.hidden
        begun = self.from_latent(z[:, :latent])
        if self.from_told is not None:
            begun = begun + self.from_told(z[:, latent:])
        hidden, context = begun.split([width, begun.shape[1] - width], dim=-1)
        left, mask = self._asked(z)
        tally = self.written.new_zeros(len(z), self.written.shape[1])
        return DecoderState(torch.tanh(hidden), context, tally, left, mask)

    def step(self, state: DecoderState, previous: Tensor | None, lhs: Tensor) -> tuple[Tensor, DecoderState]:
        """One step: the previous tokens (B,), None at first, and what is to be expanded (B,), to logits (B, R)."""
        if previous is None:
            previous = torch.full_like(lhs, self.begin_token)
        tally = state.tally + self.written[previous]
        left = state.left - state.mask * self.contributions[previous]
        x = torch.cat([self._read(previous, lhs, tally, left), state.context], dim=-1)
        out, hidden = self.gru(x.unsqueeze(1), self._by_layer(state.hidden).to(x.dtype))
        next_state = state._replace(hidden=hidden.transpose(0, 1).flatten(1), tally=tally, left=left)
        return self.logits(out.squeeze(1)), next_state

    def forward(self, z: Tensor, tokens: Tensor) -> Tensor:
        """Logits (B, T, R) of every step, given z (B, D) and the true tokens (B, T) of the steps before it."""
        state = self.begin(z)
        known = tokens.clamp(min=0)
        previous = nn.functional.pad(known[:, :-1], (1, 0), value=self.begin_token)
        left = state.left.unsqueeze(1) - state.mask.unsqueeze(1) * self.contributions[previous].cumsum(1)
        x = self._read(previous, self.lhs[known], self.written[previous].cumsum(1), left)
        x = torch.cat([x, state.context.unsqueeze(1).expand(-1, x.shape[1], -1)], dim=-1)
        out, _ = self.gru(x, self._by_layer(state.hidden).to(x.dtype))
        logits: Tensor = self.logits(out)
        return logits

    def _by_layer(self, hidden: Tensor) -> Tensor:
        """States (B, H) as the recurrence takes them: one of each layer."""
        return hidden.view(len(hidden), self.layers, self.hidden).transpose(0, 1).contiguous()

    def _asked(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The values (B, K) that rows are told, 0 where they are not, and their masks (B, K)."""
        n_properties, latent = self.contributions.shape[1], self.from_latent.in_features
        told = z[:, latent : latent + 2 * n_properties].float()
        return told[:, :n_properties], told[:, n_properties:]

    def _read(self, previous: Tensor, lhs: Tensor, tally: Tensor, left: Tensor) -> Tensor:
        """What steps see besides z: the previous tokens, what to expand, what was written and what is left to write."""
        x: Tensor = self.token_embedding(previous) + self.lhs_embedding(lhs)
        if self.from_tally is not None:
            x = x + self.from_tally(torch.cat([tally / 8, tally % 2], dim=-1).to(x.dtype))
        if self.from_remaining is not None:  # the second view sees how near an end is
            x = x + self.from_remaining(torch.cat([left, torch.tanh(FINE * left)], dim=-1).to(x.dtype))
        return x


def _to_logits(hidden: int, size: int, rank: int | None) -> nn.Module:
    if rank is None:
        return nn.Linear(hidden, size)
    return nn.Sequential(nn.Linear(hidden, rank, bias=False), nn.Linear(rank, size))


def _told_path(told: int, width: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(told, width), nn.SiLU(), nn.Linear(width, outputs))


ENCODERS: dict[str, type[nn.Module]] = {"conv": ConvEncoder, "gru": GRUEncoder, "grammar-vae": GrammarVAEEncoder}
"""Encoders of tokens: ``Encoder(rules, n_outputs, max_length, **options)``."""

DECODERS: dict[str, type[nn.Module]] = {"gru": GRUDecoder, "grammar-vae": GrammarVAEDecoder}
"""Decoders of tokens: ``Decoder(rules, latent, max_length, **options)``, with ``told`` where the row is told more."""
