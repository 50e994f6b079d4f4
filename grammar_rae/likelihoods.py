"""Likelihoods: how badly the decoder's output explains the input, as the negative log-likelihood of each row.

A likelihood is called with the decoder's output and the input, and gives the reconstruction cost (B,) in nats and
whether the most likely output is exactly the input, Bool (B,).
"""

import torch
from torch import Tensor, nn

from grammar_rae.grammar import Rules


class MaskedCategorical(nn.Module):
    r"""Codes, each drawn from the rules that expand its left-hand side:
    :math:`-\sum_t \log \operatorname{softmax}_{r : \mathrm{lhs}(r) = \mathrm{lhs}(x_t)}(\ell_t)_{x_t}`.

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

    def forward(self, logits: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, T, R) and codes (B, T), padded with -1, to cost (B,) and exactness (B,)."""
        present = codes >= 0
        chosen = codes[present]
        masked = logits[present].float()
        masked += self.mask[self.lhs[chosen]]  # in place: at a thousand rules this is the step's largest tensor
        cost = torch.zeros(codes.shape, device=codes.device)
        cost[present] = nn.functional.cross_entropy(masked, chosen, reduction="none")
        with torch.no_grad():
            right = torch.ones_like(present)
            right[present] = masked.argmax(dim=-1) == chosen
        return cost.sum(dim=1), right.all(dim=1)


LIKELIHOODS: dict[str, type[nn.Module]] = {"categorical": MaskedCategorical}
"""Likelihoods of codes: ``Likelihood(rules)``."""
