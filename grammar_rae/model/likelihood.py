"""How likely texts are under a model, in nats."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grammar_rae.codecs import treat_fragments
from grammar_rae.datasets import TokenDataset, choose_rows, pad_tokens
from grammar_rae.density import draw_given, find_gaussians, log_prob_given
from grammar_rae.errors import InputError
from grammar_rae.likelihoods import MaskedCategorical
from grammar_rae.model.encoding import raise_first
from grammar_rae.model.sources import as_texts
from grammar_rae.precision import in_single_precision

PERCENTILES = 101
"""Percentiles of the training rows' log-probabilities that a model keeps."""

MEASURED = 2_000
"""Training rows that they are measured on, at most."""

AT_ONCE = 128
"""Rows whose logits are held at a time: with 2,000 rules and 60 steps 61 MB."""


class LikelihoodMixin:
    """The methods of :class:`TextModel` that say how likely a text is."""

    @in_single_precision
    def log_prob(
        self: Any,
        texts: Sequence[str],
        *,
        codes: int = 0,
        seed: int | None = 0,
        smoothing: float | None = None,
        errors: Literal["raise", "nan"] = "raise",
        fragments: str | None = None,
    ) -> NDArray[np.float64]:
        r"""Log-probabilities of texts, in nats: float64 (N,).

        Without codes it is the decoder's own :math:`\log p(x)` where noise has left nothing of a code. With K codes it
        is the importance-weighted bound (Burda, Grosse and Salakhutdinov, ICLR 2016) of the model that :meth:`sample`
        draws from without a constraint and at temperature 1, :math:`z \sim q` (the density), :math:`u = z + \sigma
        \varepsilon`, :math:`x \sim p(x \mid u)`:

        .. math:: \log \frac1K \sum_k \frac{q(z_k)}{r(z_k \mid x)} p(x \mid u_k) \le \log p(x), \quad
            r(z \mid x) \propto q(z) \mathcal N(E(x); z, \tau^2 I), u_k \sim \mathcal N(z_k, \sigma^2 I),

        with :math:`\tau = \max(1, 2 \sigma)`: codes that the density holds likely, near that of the text.

        Both are of the one sequence of tokens that the codec writes a text in. Where macros can spell a text in several
        ways they are lower bounds of the text's probability.

        Parameters
        ----------
        texts
            N texts.
        codes
            K; 0 for the decoder's own likelihood, which needs a training that left rows without a code
            (the regulariser ``noise-conditioned`` with its option ``nothing``).
        seed
            Seed of the codes; None draws one.
        smoothing
            :math:`\sigma`; None for the recipe's.
        errors
            What to do about a text that the codec rejects: ``"raise"`` its error, or give ``"nan"``.
        fragments
            As for :meth:`encode`: ``"largest"`` takes the largest part of a salt.

        Raises
        ------
        InputError
            For a number of codes that cannot be used, a decoder without a likelihood, or, with codes, a density
            that is not made of Gaussians.
        TextError
            For a text that the codec rejects, with ``errors="raise"``.
        """
        if errors not in ("raise", "nan"):
            raise InputError("errors cannot be used", received=repr(errors), expected="'raise' or 'nan'")
        if isinstance(codes, bool) or not isinstance(codes, int | np.integer) or codes < 0:
            raise InputError("codes must be a number of codes", received=repr(codes), expected="0 or more")
        if type(self.autoencoder_.likelihood) is not MaskedCategorical:
            raise InputError("this model's decoder has no likelihood of texts", received=self.recipe_.likelihood)
        if codes and find_gaussians(self.density_) is None:
            raise InputError(
                "the model's density is not made of Gaussians",
                received=self.recipe_.density,
                remedy="Refit another one, for example model.refit_density('gmm'), or pass codes=0.",
            )
        texts = as_texts(texts)
        batch = treat_fragments(self.codec, fragments).encode_batch(texts)
        rejected = dict(batch.rejected)
        if errors == "raise":
            raise_first(rejected, len(texts))
        rows = [index for index in range(len(texts)) if index not in rejected]
        found = np.full(len(texts), np.nan)
        sigma = self.recipe_.smoothing if smoothing is None else smoothing
        found[rows] = self._log_prob_of(batch.tokens, batch.offsets, int(codes), self._generator(seed), sigma)
        return found

    def typicality(
        self: Any,
        texts: Sequence[str],
        errors: Literal["raise", "nan"] = "raise",
        fragments: str | None = None,
    ) -> NDArray[np.float64]:
        """The share of the training rows that are less likely than each text: float64 (N,), from 0 to 1.

        A text near 0 is outside of what the model knows. Likelihoods are those of :meth:`log_prob` without codes, and
        ``errors`` and ``fragments`` mean what they mean there.

        Raises
        ------
        InputError
            For a model that keeps no likelihoods of its training rows: one that is older, or whose decoder always had
            a code.
        TextError
            As :meth:`log_prob`.
        """
        percentiles = self.fitted_.percentiles if self._check_trained() else None
        if percentiles is None:
            raise InputError(
                "this model keeps no likelihoods of its training rows", remedy="Train a model of the recipe molecules."
            )
        values = self.log_prob(texts, errors=errors, fragments=fragments)
        shares = np.interp(values, percentiles, np.linspace(0, 1, len(percentiles)))
        return np.where(np.isnan(values), np.nan, shares)

    def _measure(self: Any, draft: Any, data: TokenDataset) -> NDArray[np.float64] | None:
        """Percentiles of the log-probabilities of training rows under a draft; None where it has none without codes."""
        nets = draft.autoencoder
        if type(nets.likelihood) is not MaskedCategorical or nets.regularizer.blank(1) is None:
            return None
        self.fitted_ = draft
        rows = choose_rows(np.random.default_rng(0), len(data), MEASURED)
        tokens = [data.tokens(int(row)) for row in rows]
        offsets = np.cumsum([0, *map(len, tokens)])
        nets.eval()
        values = self._log_prob_of(np.concatenate(tokens).astype(np.uint16), offsets, 0, self._generator(0))
        found: NDArray[np.float64] = np.percentile(values, np.linspace(0, 100, PERCENTILES))
        return found

    @in_single_precision
    def _log_prob_of(
        self: Any,
        tokens: NDArray[np.uint16],
        offsets: NDArray[np.int64],
        codes: int,
        generator: torch.Generator,
        sigma: float = 0.0,
    ) -> NDArray[np.float64]:
        """Log-probabilities of tokens that lie end to end; see :meth:`log_prob`."""
        lengths = np.diff(offsets)
        order = np.argsort(lengths, kind="stable")
        found = np.empty(len(lengths))
        rows = max(1, self.batch_rows // max(1, codes))
        with torch.inference_mode(), self._autocast():
            for start in range(0, len(order), rows):
                part = order[start : start + rows]
                x = torch.from_numpy(pad_tokens(tokens, offsets, part)).to(self.device)
                value = self._bound(x, codes, generator, sigma) if codes else self._without_code(x)
                found[part] = value.double().cpu().numpy()
        return found

    def _without_code(self: Any, x: Tensor) -> Tensor:
        cost: Tensor = self._cost_given(self.autoencoder_.without_code(len(x), self.recipe_.latent), x)
        return -cost

    def _cost_given(self: Any, z: Tensor, x: Tensor) -> Tensor:
        """The cost (B,) of tokens x (B, T), each row given its code."""
        nets = self.autoencoder_
        parts = zip(torch.split(z, AT_ONCE), torch.split(x, AT_ONCE), strict=True)
        return torch.cat([nets.likelihood(nets.decoder(code, tokens), tokens)[0] for code, tokens in parts])

    def _bound(self: Any, x: Tensor, k: int, generator: torch.Generator, sigma: float) -> Tensor:
        nets, gaussians = self.autoencoder_, find_gaussians(self.density_)
        assert gaussians is not None, "asked for before"
        width = max(1.0, 2 * sigma)
        centre = nets.encode(x).double()
        seen = torch.eye(centre.shape[1], dtype=torch.float64, device=centre.device)
        evidence = log_prob_given(gaussians, seen, torch.zeros_like(seen[0]), centre, width**2)  # of E(x), as z + noise
        many, around = x.repeat_interleave(k, dim=0), centre.repeat_interleave(k, dim=0)
        z = draw_given(gaussians, seen, torch.zeros_like(seen[0]), around, width**2, generator)
        distance = (z - around).square().sum(1) / width**2
        proposed = -0.5 * distance - z.shape[1] * (math.log(width) + 0.5 * math.log(2 * math.pi))
        cost = self._cost_given(nets.smooth(z, sigma, generator), many)
        weights = evidence.repeat_interleave(k) - proposed - cost
        return torch.logsumexp(weights.view(-1, k), dim=1) - math.log(k)
