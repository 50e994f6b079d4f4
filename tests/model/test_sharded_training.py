"""Trainings from a data set of many shards."""

import pytest
from models import same_weights

import grammar_rae
from grammar_rae.datasets import ShardedDataset, encode_shards
from grammar_rae.errors import InputError
from grammar_rae.expressions import expression_set
from grammar_rae.model import TextModel
from grammar_rae.model.adapting import find_automatic_start
from grammar_rae.training import batches


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardedDataset:
    folder = tmp_path_factory.mktemp("shards")
    (folder / "in.txt").write_text("".join(f"{text}\n" for text in expression_set()[::400]))
    codec = grammar_rae.load("expressions").codec
    return encode_shards(folder / "in.txt", codec, folder / "set", rows=64, fields="line")


def train(source: object, **options: object) -> TextModel:
    model = TextModel(
        "expressions", epochs=1, overrides={"latent": 4, "batch_size": 32, "density": "gaussian", "density_options": {}}
    )
    return model.fit(source, **options)  # type: ignore[arg-type]


def test_a_model_learns_from_shards(shards: ShardedDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BLOCK", 16)
    monkeypatch.setattr(batches, "BUFFER", 64)
    model = train(shards.folder)
    assert model.history.stopped == "epochs" and model.history.validations().rows
    assert model.codec.to_dict() == shards.codec_dict
    training, validation = shards.split(0.05, 0, 5_000)
    assert model.known_ is not None and model.known_.rows == len(training)
    assert len(model.codes_) == len(training) and len(model.held_out_codes_) == len(validation)
    assert same_weights(model, train(ShardedDataset.open(shards.folder)))
    assert len(model.sample(5, seed=0)) == 5
    with pytest.warns(UserWarning, match=f"{len(validation)} of the {len(validation)} rows that validate"):
        train(shards, validation=validation)


def test_what_shards_cannot_do(shards: ShardedDataset) -> None:
    with pytest.raises(InputError, match="not compared with itself"):
        train(shards, duplicates="drop")
    with pytest.raises(InputError, match=r"trains a model from nothing.*start=None"):
        TextModel("expressions", epochs=1).fit(shards, start="expressions")
    assert find_automatic_start(shards.folder, "molecules", {}) is None
    assert find_automatic_start(shards, "molecules", {}) is None
