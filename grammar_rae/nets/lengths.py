"""Nets with weights for each position have a longest sequence."""

from torch import Tensor

from grammar_rae.errors import InputError


def check_length(codes: Tensor, longest: int) -> None:
    """Raise an InputError when codes (B, T) have more positions than an encoder has weights for."""
    if codes.shape[1] > longest:
        raise InputError(
            "the codes are longer than this encoder reads",
            received=f"{codes.shape[1]} codes",
            expected=f"at most {longest}",
            remedy="Train with a max_length, or with an encoder that has none.",
        )
