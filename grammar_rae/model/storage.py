"""Models on disk: weights as safetensors, all else as JSON."""

import os
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from grammar_rae import checkpoint
from grammar_rae.checks import check_path
from grammar_rae.errors import CheckpointError
from grammar_rae.model.quantizing import refuse_int8
from grammar_rae.model.reading import build_within, check_meta, check_state, reading
from grammar_rae.precision import in_single_precision
from grammar_rae.training import History

Model = TypeVar("Model")


def write_model(model: Any, about: dict[str, Any], folder: Path, compact: bool) -> None:
    """What :meth:`LatentModel.save` does; ``about`` is what its data say of the model."""
    fitted = model.fitted_
    refuse_int8(fitted.autoencoder, "saved")
    meta = {
        "kind": model.kind,
        "recipe": fitted.recipe.to_dict(),
        **about,
        "density_score": fitted.density_score,
        "history": (fitted.history.validations() if compact else fitted.history).to_dict(),
        "seed": model.seed_,
        **({} if fitted.start is None else {"start": dict(fitted.start)}),
        "versions": checkpoint.versions(),
    }
    weights = fitted.autoencoder.state_dict()
    groups = {"weights": weights, "density": fitted.density.state_dict()}
    if compact:
        groups["weights"] = {name: _to_half(tensor) for name, tensor in weights.items()}
    else:
        kept = {"training": model.codes_, "held_out": model.held_out_codes_}
        groups["latents"] = {name: torch.from_numpy(codes) for name, codes in kept.items()}
    checkpoint.save(folder, meta, groups)


@in_single_precision
def read_model(cls: type[Model], folder: str | PathLike[str]) -> Model:
    """What :meth:`LatentModel.load` does for the class of a model."""
    kind: Any = cls
    meta, tensors = checkpoint.load(check_path(folder), require=("weights", "density"))
    if meta.get("kind") != kind.kind:
        raise CheckpointError(
            f"this folder holds no model of {kind.makes}",
            received=repr(meta.get("kind")),
            where=os.fspath(folder),
            remedy="grammar_rae.load(folder) reads models of every kind.",
        )
    with reading(folder):
        check_meta(meta)
        recipe = kind.recipe_type.from_dict(meta["recipe"])
        draft = build_within(tensors, lambda: kind._from_about(recipe, meta))
        draft.autoencoder.load_state_dict(tensors["weights"])
        draft.density.load_state_dict(tensors["density"])
        check_state(draft)
        draft.autoencoder.eval()
        draft.density.eval()
        model: Model = kind(recipe, seed=int(meta["seed"]))
        score = meta.get("density_score")
        latents = tensors.get("latents") or {}  # compact models and those of the first versions have none
        fitted = replace(
            draft,
            history=History.from_dict(meta["history"]),
            density_score=None if score is None else float(score),
            codes=latents["training"].numpy() if latents else None,
            held_out_codes=latents["held_out"].numpy() if latents else None,
            start=meta.get("start"),
        )
    model.fitted_ = fitted  # type: ignore[attr-defined]
    return model


def _to_half(tensor: Tensor) -> Tensor:
    """The tensor as float16 where it is of floats that float16 can hold."""
    half = tensor.to(torch.float16)
    return half if tensor.is_floating_point() and bool(half.isfinite().all()) else tensor
