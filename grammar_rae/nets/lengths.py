"""The check of nets whose weights limit the length of sequences."""

from torch import Tensor

from grammar_rae.errors import InputError


def check_length(tokens: Tensor, longest: int) -> None:
    """Raise an InputError when tokens (B, T) have more positions than an encoder has weights for."""
    if tokens.shape[1] > longest:
        raise InputError(
            "the sequences are too long for this encoder",
            received=f"{tokens.shape[1]} tokens",
            expected=f"at most {longest}",
            remedy="Train with a max_length, or with an encoder that has none.",
        )
