"""Models of texts on disk: save and load, damage, interruption and resumption."""

import copy
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from model.texts.text_models import EXACT, FEW, TEXTS, quick
from models import InterruptAt, edit, outside, same_weights

import grammar_rae
from grammar_rae import checkpoint, datasets
from grammar_rae.errors import (
    CheckpointError,
    InputError,
    TrainingError,
)
from grammar_rae.model import TextModel
from grammar_rae.model import latent as latent_module
from grammar_rae.recipes import RECIPES, TextRecipe


def test_save_load_sample(model: TextModel, saved: Path) -> None:
    again = TextModel.load(saved)
    assert same_weights(again, model)
    assert again.sample(10, seed=5).texts == model.sample(10, seed=5).texts
    assert np.array_equal(again.encode(TEXTS[:10]), model.encode(TEXTS[:10]))
    assert again.codec.to_dict() == model.codec.to_dict()
    assert again.history.to_dict() == model.history.to_dict()
    assert again.recipe_ == model.recipe_
    assert again.seed == model.seed
    assert again.get_params()["recipe"] == model.recipe_


def test_a_compact_copy(model: TextModel, saved: Path, tmp_path: Path) -> None:
    model.save(tmp_path, compact=True)
    sizes = [sum(file.stat().st_size for file in folder.glob("weights*")) for folder in (tmp_path, saved)]
    assert sizes[0] < 0.6 * sizes[1] and not list(tmp_path.glob("latents*"))
    again = TextModel.load(tmp_path)
    for name, tensor in again.autoencoder_.state_dict().items():
        before = model.autoencoder_.state_dict()[name]
        assert tensor.dtype == before.dtype and torch.allclose(tensor, before, rtol=1e-3, atol=1e-6)
    assert len(again.sample(10, seed=5)) == 10
    assert again.history.best == model.history.best
    assert [row["step"] for row in again.history.rows] == [
        row["step"] for row in model.history.rows if row["validation_loss"] is not None
    ]
    with pytest.raises(InputError, match="keeps no latent codes"):
        again.refit_density("gaussian")
    assert again.refit_density("gaussian", codes=again.encode(TEXTS)).recipe_.density == "gaussian"


def test_a_compact_copy_keeps_what_half_precision_cannot_hold(model: TextModel, tmp_path: Path) -> None:
    large = copy.deepcopy(model)
    bias = large.autoencoder_.decoder.get_parameter("logits.bias")
    with torch.no_grad():
        bias[0] = 1e6
    large.save(tmp_path, compact=True)
    again = TextModel.load(tmp_path)
    assert torch.equal(again.autoencoder_.decoder.get_parameter("logits.bias"), bias)


def test_the_recipe_says_how_to_sample() -> None:
    recipe = RECIPES["tiny"].replace(temperature=0.5, top_p=0.6)
    trained = TextModel(recipe, epochs=1, overrides=EXACT).fit(FEW)
    drawn = trained.sample(20, valid_only=False, seed=1)
    assert (drawn.temperature, drawn.top_p) == (0.5, 0.6)
    assert drawn.texts == trained.sample(20, valid_only=False, seed=1, temperature=0.5, top_p=0.6).texts
    assert drawn.texts != trained.sample(20, valid_only=False, seed=1, top_p=1.0).texts
    with pytest.raises(InputError, match="temperature"):
        RECIPES["tiny"].replace(temperature=-1.0)
    with pytest.raises(InputError, match="top_p"):
        RECIPES["tiny"].replace(top_p=0.0)


def test_recipes_from_before_the_nucleus_draw_from_all() -> None:
    written = RECIPES["tiny"].replace(top_p=0.9).to_dict()
    del written["top_p"]
    assert TextRecipe.from_dict(written).top_p == 1.0


def test_constants_of_scores_are_saved_with_the_model(saved: Path, tmp_path: Path) -> None:
    again = TextModel.load(saved)
    assert again.score_constants_ == {}
    constants = {"penalized_logp": {"logp_mean": 1.25, "logp_std": 0.5}}
    again.store_score_constants(constants)
    again.store_score_constants({"penalized_logp": {"logp_mean": 9.0, "logp_std": 9.0}})  # the first ones stay
    again.score_constants_["penalized_logp"]["logp_mean"] = 7.0  # a copy
    assert again.score_constants_ == constants
    again.save(tmp_path)
    assert TextModel.load(tmp_path).score_constants_ == {"penalized_logp": {"logp_mean": 1.25, "logp_std": 0.5}}
    assert again.fit(FEW).score_constants_ == {}  # other data have other constants


def test_a_loaded_model_can_be_trained_anew(saved: Path) -> None:
    again = TextModel.load(saved)
    assert same_weights(again.fit(FEW), TextModel("tiny", epochs=3, overrides=EXACT).fit(FEW))


def test_saving_again_replaces_the_model(saved: Path, tmp_path: Path) -> None:
    first = TextModel.load(saved)
    other = quick(latent=3).fit(FEW)
    first.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    other.save(str(tmp_path))
    assert same_weights(TextModel.load(str(tmp_path)), other)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_model_that_is_not_trained_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not trained"):
        TextModel().save(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def tensor_file(folder: Path, group: str) -> Path:
    return next(folder.glob(f"{group}-*.safetensors"))


def cut(folder: Path) -> None:
    path = tensor_file(folder, "weights")
    path.write_bytes(path.read_bytes()[:-10])


def flip(folder: Path) -> None:
    path = tensor_file(folder, "density")
    blob = bytearray(path.read_bytes())
    blob[-5] ^= 1
    path.write_bytes(blob)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (cut, "truncated"),
    "tampered": (flip, "changed after it was saved"),
    "a file missing": (lambda folder: tensor_file(folder, "weights").unlink(), "missing"),
    "newer": (edit(lambda index: index.update(format_version=99)), "newer version"),
    "other kind": (edit(lambda index: index["meta"].update(kind="training state")), "holds no model"),
    "no group": (edit(lambda index: index["files"].pop("density")), "lacks density"),
    "no JSON": (lambda folder: (folder / "model.json").write_text("{"), "not JSON"),
    "no index": (lambda folder: (folder / "model.json").unlink(), "no model.json"),
    "no folder": (shutil.rmtree, "no such folder"),
    "other sizes": (edit(lambda index: index["meta"]["recipe"].update(latent=9)), "cannot be read"),
    "unknown recipe setting": (edit(lambda index: index["meta"]["recipe"].update(colour=1)), "cannot be read"),
    "unknown row": (edit(lambda index: index["meta"]["recipe"].update(encoder="lstm")), "cannot be read"),
    "unknown codec": (
        edit(lambda index: index["meta"]["codec"].update(kind="selfies")),
        "not one that this package writes",
    ),
    "no codec": (edit(lambda index: index["meta"].pop("codec")), "cannot be read"),
    "no history": (edit(lambda index: index["meta"].update(history=[])), "not one that this package writes"),
    "no atoms": (edit(lambda index: index["meta"].update(atoms=["C"])), "not one that this package writes"),
    "no seed": (edit(lambda index: index["meta"].update(seed="x")), "not one that this package writes"),
    "macros out of range": (edit(lambda index: index["meta"]["codec"]["macros"].append([10**6, 0])), "cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_refused(saved: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder)
    assert TextModel.load(folder).history.stopped == "epochs"
    apply, words = DAMAGES[damage]
    apply(folder)
    with pytest.raises(CheckpointError, match=words):
        TextModel.load(folder)


def longer() -> TextModel:
    return TextModel("tiny", epochs=3, overrides=EXACT | {"batch_size": 16})


@pytest.fixture(scope="module")
def uninterrupted() -> TextModel:
    return longer().fit(FEW)


def test_ctrl_c_keeps_what_there_is(uninterrupted: TextModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_module, "ProgressBar", lambda: InterruptAt(6))
    stopped = longer().fit(FEW, folder=tmp_path, progress=True)
    assert stopped.history.stopped == "interrupted"
    assert stopped.history.rows[-1]["step"] == 6
    assert same_weights(TextModel.load(tmp_path), stopped)
    assert len(stopped.sample(3, valid_only=False)) == 3
    monkeypatch.setattr(latent_module, "ProgressBar", lambda: InterruptAt(8))
    again = longer().fit(FEW, folder=tmp_path, resume=True, progress=True)
    assert again.history.rows[-1]["step"] == 8
    # The texts are not read again: what was encoded first is what is trained on.
    finished = longer().fit(iter(()), folder=tmp_path, resume=True)
    assert finished.history.stopped == "epochs"
    assert same_weights(finished, uninterrupted)
    loaded = grammar_rae.TextModel.load(tmp_path)
    assert loaded.sample(5, False, seed=1).texts == uninterrupted.sample(5, False, seed=1).texts


KILLED = """
import os, signal, sys
import torch
from grammar_rae.model import TextModel, latent
from grammar_rae.training import Callback

class Kill(Callback):
    def on_step(self, state):
        if state.step == 7:
            os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
latent.ProgressBar = Kill
overrides = {"precision": "32-true", "batch_size": 16, "checkpoint_every": 0}
texts = open(sys.argv[1]).read().split()
TextModel("tiny", epochs=3, overrides=overrides).fit(texts, folder=sys.argv[2], progress=True)
"""


def test_a_kill_costs_nothing(uninterrupted: TextModel, tmp_path: Path) -> None:
    (tmp_path / "few.smi").write_text("\n".join(FEW))
    run = tmp_path / "run"
    killed = outside(KILLED, tmp_path / "few.smi", run)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with pytest.raises(CheckpointError, match=r"no model\.json"):
        TextModel.load(run)
    with pytest.raises(CheckpointError, match="lacks density"):
        TextModel.load(run / "state")
    meta, _ = checkpoint.load(run / "state")
    assert meta["position"]["step"] == 6
    assert same_weights(longer().fit(FEW, folder=run, resume=True), uninterrupted)


def test_another_training_is_not_resumed(tmp_path: Path) -> None:
    quick().fit(FEW, folder=tmp_path)
    with pytest.raises(TrainingError, match="learning_rate differs"):
        quick(learning_rate=0.5).fit(FEW, folder=tmp_path, resume=True)
    with pytest.raises(TrainingError, match="another training"):
        quick(latent=3).fit(FEW, folder=tmp_path, resume=True)


# --- without RDKit and NLTK ------------------------------------------------------------------------------------------


BARE = """
import sys
from grammar_rae.model import TextModel
model = TextModel("tiny", epochs=1).fit(sys.argv[1], folder=sys.argv[2])
z = TextModel.load(sys.argv[2]).density_.sample(4)
texts = TextModel.load(sys.argv[2]).decode(z, canonical=False)
assert len(texts) == 4
print(sorted({"rdkit", "nltk"} & set(sys.modules)))
"""


def test_an_encoded_data_set_is_trained_without_rdkit_and_nltk(model: TextModel, tmp_path: Path) -> None:
    datasets.encode(FEW, model.codec, tmp_path / "encoded")
    done = outside(BARE, tmp_path / "encoded", tmp_path / "run")
    assert done.stdout == "[]\n", done.stderr
