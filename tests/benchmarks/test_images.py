"""The study of images: cells, resuming, tables, claims and pictures, on scikit-learn's digits with tiny trainings."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmarks import image_tables
from benchmarks.__main__ import app
from benchmarks.grid import measure
from benchmarks.image_figures import draw, draw_figure3, grid
from benchmarks.images import COLUMNS, ImageStudy, classifier_accuracy, examples, figure3_studies
from grammar_rae import checkpoint, metrics
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.model import ImageModel
from grammar_rae.recipes import IMAGE_MODELS


@pytest.fixture(scope="module", autouse=True)
def quick_classifier() -> Iterator[None]:
    """A feature net of four passes, which know these digits; without a number it makes a thousand steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "train_classifier", partial(metrics.train_classifier, epochs=4))
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ImageStudy:
    return ImageStudy(
        tmp_path_factory.mktemp("study"), "digits", models=("vae", "rae"), epochs=1, n=300, progress=False
    )


def test_one_row_a_cell(study: ImageStudy, rows: list[dict[str, object]]) -> None:
    assert [(row["model"], row["column"]) for row in rows] == [(m, c) for m in ("vae", "rae") for c in COLUMNS]
    assert len(study.rows()) == len(rows)
    for row in rows:
        assert row["distance_name"] == "FD(classifier)"
        assert row["n"] == 300 and row["seed"] == 0 and row["epochs"] == 1
        assert 0 < row["floor"] < row["distance"]  # type: ignore[operator]
        assert "torch" in row["versions"]  # type: ignore[operator]
        assert ("precision" in row) == ("prd_f8" in row) == (row["column"] in ("n", "gmm"))
    densities = {(row["model"], row["column"]): row.get("fitted") for row in rows}
    assert densities["vae", "n"] == "prior" and densities["rae", "n"] == "gaussian"
    assert densities["vae", "gmm"] == densities["rae", "gmm"] == "gmm"


def test_a_model_is_left_with_its_own_density(study: ImageStudy, rows: list[dict[str, object]]) -> None:
    found = {one.key["model"]: ImageModel.load(one.folder) for one in study.runs}
    assert {name: model.recipe_.density for name, model in found.items()} == {"vae": "prior", "rae": "gmm"}
    assert found["rae"].sample(3, seed=0).shape == (3, 1, 8, 8)


def test_what_is_measured_is_not_measured_again(study: ImageStudy, rows: list[dict[str, object]]) -> None:
    before = study.results.read_text()
    assert list(measure(replace(study))) == rows
    assert study.results.read_text() == before


def test_a_missing_cell_is_measured_again_and_is_the_same(study: ImageStudy, rows: list[dict[str, object]]) -> None:
    lines = study.results.read_text().splitlines()
    gone = next(i for i, line in enumerate(lines) if json.loads(line)["column"] == "interp")
    study.results.write_text("\n".join(lines[:gone] + lines[gone + 1 :]) + "\n")
    again = list(measure(replace(study)))
    assert [row["distance"] for row in again] == [row["distance"] for row in rows]


def test_the_feature_net_is_trained_once(study: ImageStudy, rows: list[dict[str, object]]) -> None:
    accuracy = classifier_accuracy(study)
    assert accuracy is not None and accuracy > 0.8
    assert checkpoint.read_meta(study.folder / "classifier")["config"]["outputs"] == 10


def test_another_recipe_in_the_folder(study: ImageStudy, rows: list[dict[str, object]], tmp_path: Path) -> None:
    one = study.runs[1]
    (tmp_path / "runs").mkdir()
    one.folder.rename(tmp_path / "kept")
    try:
        study.runs[0].folder.rename(one.folder)
        with pytest.raises(InputError, match="another recipe") as raised:
            one.prepare()
        assert "objective" in str(raised.value)
    finally:
        one.folder.rename(study.runs[0].folder)
        (tmp_path / "kept").rename(one.folder)


def test_examples_are_bytes(study: ImageStudy, rows: list[dict[str, object]]) -> None:
    kept = examples(study.runs[1], "gmm")
    assert kept["images"].shape == (40, 1, 8, 8) and kept["images"].dtype == np.uint8
    assert kept["neighbours"].shape == (10, 1, 8, 8)
    assert kept["precision"].shape == kept["recall"].shape
    assert examples(study.runs[1], "interp")["images"].shape == (40, 1, 8, 8)
    assert examples(replace(study.runs[1], folder=study.folder), "gmm") == {}


def test_figures(study: ImageStudy, rows: list[dict[str, object]]) -> None:
    pytest.importorskip("matplotlib")
    drawn = draw(study)
    assert [path.name for path in drawn] == [
        "reconstructions.png",
        "interpolations.png",
        "samples.png",
        "neighbours.png",
        "prd.png",
    ]
    for path in drawn:
        with Image.open(path) as picture:
            assert picture.width > 300 and len(picture.convert("L").getcolors(256) or []) > 5


def test_grid_places_every_image() -> None:
    images = np.full((3, 3, 64, 64), 255, dtype=np.uint8)
    images[1] = 0
    sheet = np.asarray(grid([("a", images), ("b", images[:1])]))
    assert sheet.shape == (2 * 66, 120 + 3 * 66, 3)
    assert (sheet[:64, 120 + 66 : 120 + 66 + 64] == 0).all()
    assert (sheet[:64, 120 : 120 + 64] == 255).all()


def test_table_beside_the_papers(study: ImageStudy, rows: list[dict[str, object]]) -> None:
    text = image_tables.markdown(rows, 0.95)
    assert "FD(classifier)" in text and "floor" in text and "95.00%" in text
    assert "(paper)" not in text  # which knows no such digits
    as_mnist = [{**row, "data": "mnist"} for row in rows]
    line = next(line for line in image_tables.markdown(as_mnist).splitlines() if line.startswith("| vae |"))
    assert line.endswith("| 18.26 | 19.21 | 17.66 | 18.21 |")
    ours = image_tables.markdown([{**row, "model": "nc-0"} for row in as_mnist])
    line = next(line for line in ours.splitlines() if line.startswith("| nc-0 |"))
    assert line.endswith("| - | - | - | - |") and line.count("|") == 10
    assert image_tables.markdown([]) == "Nothing is measured yet.\n"


def test_claims_of_the_paper() -> None:
    paper = {
        (model, column): [value]
        for model, values in image_tables.PAPER["mnist"].items()
        for column, value in zip(COLUMNS, values, strict=True)
        if value is not None
    }
    found = image_tables.claims(paper)
    assert all(found.values()) and len(found) == 9 + 3  # the paper's table bears its own claims out
    worse = {**paper, ("rae", "gmm"): [99.0], ("ae", "n"): [11.0]}
    found = image_tables.claims(worse)
    assert not found["GMM <= N for rae"] and not found["AE and AE-L2 gain most from GMM"]
    assert found["the best RAE with GMM beats the VAE with its prior"]
    assert set(image_tables.claims({("rae", "gmm"): [1.0]}).values()) == {None}


def test_spread_over_seeds() -> None:
    row = {"model": "rae", "column": "rec", "data": "digits", "net": "small", "epochs": 1, "n": 5, "floor": 0.5}
    rows = [{**row, "seed": seed, "distance": value, "distance_name": "FID"} for seed, value in ((0, 2.0), (1, 3.0))]
    assert "2.50 ± 0.50" in image_tables.markdown(rows)


def test_figure_3(study: ImageStudy, rows: list[dict[str, object]], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    shutil.copytree(study.folder / "classifier", tmp_path / "classifier")
    base = ImageStudy(tmp_path, "digits", epochs=1, n=100, progress=False)
    left, right = figure3_studies(base)
    left, right = replace(left, variants=left.variants[:2]), replace(right, variants=right.variants[:2])
    found = [*measure(left), *measure(right)]
    assert [row["variant"] for row in found[:: len(COLUMNS)]] == [*left.variants, *right.variants]
    text = image_tables.figure3_markdown(found)
    assert "| samples 2 |" in text and "| beta 0.03 |" in text
    with Image.open(draw_figure3(tmp_path / "figure3.png", found)) as picture:
        assert picture.width > 600


def test_damaged_results(tmp_path: Path) -> None:
    study = ImageStudy(tmp_path, "digits", progress=False)
    study.results.write_text('{"model": "rae"}\n{"model"\n')
    with pytest.raises(InputError, match="no result") as raised:
        study.rows()
    assert "line 2" in str(raised.value)


@pytest.mark.parametrize("wrong", [{"models": ("gan",)}, {"data": "faces"}, {"features": "clip"}])
def test_unknown_names(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        ImageStudy(tmp_path, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"n": 1}, {"models": ()}, {"seeds": ()}])
def test_unusable_studies(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        ImageStudy(tmp_path, **wrong)  # type: ignore[arg-type]


def test_command(study: ImageStudy, rows: list[dict[str, object]], tmp_path: Path) -> None:
    shutil.copytree(study.folder / "classifier", tmp_path / "classifier")
    command = ["images", "-o", str(tmp_path), "--data", "digits", "--models", "rae-sn", "--epochs", "1"]
    done = CliRunner().invoke(app, [*command, "-n", "100", "--no-figures", "-q"])
    assert done.exit_code == 0, done.output
    assert "| rae-sn |" in done.stdout
    assert (tmp_path / "table1.md").read_text() == done.stdout
    assert IMAGE_MODELS["rae-sn"].regularizer == "spectral-norm"
    again = CliRunner().invoke(app, [*command, "-n", "100", "--no-figures", "-q"])
    assert again.stdout == done.stdout


def test_command_of_bad_seeds(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["images", "-o", str(tmp_path), "--seeds", "one"])
    assert done.exit_code == 2 and "whole numbers" in done.output
