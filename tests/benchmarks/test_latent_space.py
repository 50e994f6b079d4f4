"""The study of latent spaces: its points, resuming, what is refused, the table and the picture."""

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import latent_space
from benchmarks.__main__ import app
from benchmarks.grid import measure
from benchmarks.latent_space import MODELS, Draw, LatentSpaceStudy
from benchmarks.latent_space_tables import draw_frontier, markdown
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.model import TextModel
from grammar_rae.recipes import TextRecipe, get_recipe
from grammar_rae.resources import bundled_file

pytest.importorskip("fcd_torch")

CHOSEN = ("rae", "conditioned")


@pytest.fixture(scope="module")
def molecules() -> list[str]:
    with gzip.open(bundled_file("data/moses_sample.smi.gz"), "rt") as file:
        return [next(file).strip() for _ in range(400)]


@pytest.fixture(scope="module")
def study(molecules: list[str], tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("latent")
    for name, rows in (("train.smi", molecules[:280]), ("test.smi", molecules[280:])):
        (folder / name).write_text("\n".join(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_space, "BASE", "tiny")
        yield LatentSpaceStudy(
            folder / "study",
            folder / "train.smi",
            folder / "test.smi",
            CHOSEN,
            densities=("gaussian", "gmm:2"),
            smoothings=(0.0, 2.0),
            temperatures=(0.6,),
            n_training=250,
            epochs=1,
            n=100,
            progress=False,
        )


def test_every_model_has_a_recipe() -> None:
    base = get_recipe(latent_space.BASE, TextRecipe)
    for name in MODELS:
        recipe = LatentSpaceStudy(Path("s"), Path("a"), Path("b"), (name,), progress=False).recipe(name)
        assert recipe.training["epochs"] == 5 and "time_limit" not in recipe.training
        assert (recipe.codec_options, recipe.encoder) == (base.codec_options, base.encoder)


def test_one_row_a_point(study: LatentSpaceStudy, rows: list[dict[str, Any]]) -> None:
    points = [(row["model"], row["density"], row["smoothing"]) for row in rows]
    assert points == [
        ("rae", "gaussian", 0.0),
        ("rae", "gmm:2", 0.0),
        *(("conditioned", density, smoothing) for density in ("gaussian", "gmm:2") for smoothing in (0.0, 2.0)),
    ]
    assert len(study.data) <= 250
    for row in rows:
        assert all(0 <= row[name] <= 1 for name in ("exact", "valid", "unique", "novel"))
        assert row["fcd"] > row["floor"] > 0
        assert row["rows"] == 250 and row["n"] == 100 and "torch" in row["versions"]
    assert len({row["floor"] for row in rows}) == 1


def test_a_point_is_what_the_model_draws(study: LatentSpaceStudy, rows: list[dict[str, Any]]) -> None:
    model = TextModel.load(study.runs[1].folder).refit_density("gmm", n_components=2)
    assert model.recipe_.regularizer == "noise-conditioned"
    drawn = model.sample(100, valid_only=False, seed=0, temperature=0.6, smoothing=2.0, constraint="grammar")
    assert rows[-1]["valid"] == drawn.validity and rows[-1]["unique"] == drawn.uniqueness
    assert rows[-1]["density_score"] == model.density_score
    assert rows[-1]["density_score"] != rows[-3]["density_score"]


def test_what_is_there_is_not_measured_again(
    study: LatentSpaceStudy, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_space, "load_or_train", None)
    assert list(measure(study)) == rows


def test_more_points_need_no_training(study: LatentSpaceStudy, rows: list[dict[str, Any]]) -> None:
    before = (study.runs[0].folder / "model.json").stat().st_mtime_ns
    found = list(measure(replace(study, models=("rae",), temperatures=(0.6, 1.0), densities=("gaussian",))))
    assert found[0] == rows[0] and [row["temperature"] for row in found] == [0.6, 1.0]
    assert (study.runs[0].folder / "model.json").stat().st_mtime_ns == before


def test_table_and_picture(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    told = markdown(rows)
    assert told.count("\n| rae |") == 2 and told.count("\n| conditioned |") == 4
    assert f"is {rows[0]['floor']:.2f}." in told and MODELS["conditioned"].description in told
    assert "| - |" in markdown([{**rows[0], "fcd": None}])
    pytest.importorskip("matplotlib")
    assert draw_frontier(tmp_path / "frontier.png", rows).stat().st_size > 5_000


def test_the_command(study: LatentSpaceStudy, rows: list[dict[str, Any]]) -> None:
    words = [
        "latent-space",
        str(study.source),
        str(study.test),
        "-o",
        str(study.folder),
        "--models",
        "rae",
    ]
    chosen = ["--densities", "gaussian", "--smoothings", "0", "--temperatures", "0.6"]
    sizes = ["--rows", "250", "--epochs", "1", "-n", "100", "--no-figures", "-q"]
    done = CliRunner().invoke(app, [*words, *chosen, *sizes], prog_name="benchmarks")
    assert done.exit_code == 0, done.output
    assert done.stdout == markdown(rows[:1]) == (study.folder / "latent-space.md").read_text()
    refused = CliRunner().invoke(app, [*words, "--smoothings", "none", *sizes], prog_name="benchmarks")
    assert refused.exit_code == 2 and "expected numbers such as" in refused.stderr


@pytest.mark.parametrize(
    ("field", "value", "error", "match"),
    [
        ("models", ("ra",), UnknownNameError, "Did you mean 'rae'"),
        ("densities", ("gm:10",), UnknownNameError, "gmm"),
        ("densities", ("gmm:ten",), InputError, "gmm:10"),
        ("densities", ("gmm:0",), InputError, "gmm:10"),
        ("densities", ("gmm:",), InputError, "gmm:10"),
        ("densities", ("gmm:=5",), InputError, "gmm:10"),
        ("densities", ("gmm:tol=0.1",), InputError, "gmm:10"),
        ("densities", ("gaussian:epochs=5",), InputError, "takes no such option.*epochs"),
        ("n", 3, InputError, "n cannot be used"),
        ("epochs", 0, InputError, "epochs cannot be used"),
    ],
)
def test_what_is_refused(study: LatentSpaceStudy, field: str, value: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        replace(study, **{field: value})


def test_the_options_of_a_density() -> None:
    assert Draw("gmm:100", 0.0, 1.0, "grammar").density_options == ("gmm", {"n_components": 100})
    assert Draw("gaussian", 0.0, 1.0, "grammar").density_options == ("gaussian", {})
    assert Draw("two-stage:epochs=20", 0.0, 1.0, "grammar").density_options == ("two-stage", {"epochs": 20})
