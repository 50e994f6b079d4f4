"""Properties that are read from codes and told to the decoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import grammar_rae
from grammar_rae.chem.properties import properties
from grammar_rae.errors import CheckpointError, InputError, UnknownNameError
from grammar_rae.model import TextModel
from grammar_rae.model.echoing import LEAST_SLOPE, SCALES, SHIFTS, Correction, correct, echo_codes
from grammar_rae.recipes import RECIPES
from tests.models import edit
from tests.test_conditions import TEXTS, TOLD


@pytest.fixture(scope="module")
def told() -> TextModel:
    overrides = {**TOLD, "epochs": 40, "batch_size": 32, "learning_rate": 5e-3, "smoothing": 1.0}
    return TextModel("tiny", overrides=overrides).fit(TEXTS * 2)


def test_an_echo_is_told_as_the_head_reads_the_codes(told: TextModel) -> None:
    z = torch.from_numpy(told.codes_[:50])
    condition, head = told.autoencoder_.condition, told.autoencoder_.head
    found = echo_codes(z, ["weight"], condition, head)
    column = condition.names.index("weight")
    low, high = ((end - condition.mean[column]) / condition.deviation[column] for end in condition.ranges["weight"])
    expected = head.properties(z)[:, column].clamp(low, high).detach()
    torch.testing.assert_close(found[:, column], expected, atol=1e-4, rtol=1e-4)
    assert found[:, len(condition.names) :].sum(dim=0)[column] == 50 == found[:, len(condition.names) :].sum()


def test_what_is_echoed_changes_draws_and_is_said(told: TextModel) -> None:
    plain, echoed = (told.sample(30, seed=0, echo=echo) for echo in ((), ("weight", "rings")))
    assert plain.echo == () and echoed.echo == ("weight", "rings")
    assert plain.texts != echoed.texts == told.sample(30, seed=0, echo=["weight", "rings"]).texts
    assert told.sample(5, seed=0, echo=("weight",), properties={"rings": 1.0}).echo == ()
    assert told.sample(30, seed=0).texts == plain.texts  # the recipe's own


def test_an_echo_that_cannot_be(told: TextModel) -> None:
    with pytest.raises(InputError, match="names of properties"):
        told.sample(3, echo="weight")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="wieght"):
        told.sample(3, echo=["wieght"])
    with pytest.raises(InputError, match="no properties to echo"):
        grammar_rae.load("moses").sample(3, echo=["weight"])
    with pytest.raises(InputError, match="nothing to echo"):
        RECIPES["moses"].replace(echo=("weight",))
    for names in (["weight"], ("weight",), (name for name in ["weight"])):
        assert RECIPES["molecules"].replace(echo=names).echo == ("weight",)


# -- corrections -----------------------------------------------------------------------------------------------------


def write(read: np.ndarray, correction: Correction, slope: float, intercept: float, noise: float) -> np.ndarray:
    """A decoder that writes so much of what it is told."""
    told = correction.scale * read + correction.shift
    return slope * told + intercept + noise * np.random.default_rng(1).normal(size=len(read))


@pytest.mark.parametrize(("slope", "intercept", "noise"), [(0.7, -0.2, 0.5), (1.3, 0.1, 0.2), (0.6, 0.0, 0.8)])
def test_a_correction_gives_what_is_written_the_moments_of_what_is_read(
    slope: float, intercept: float, noise: float
) -> None:
    read = 0.1 + 0.9 * np.random.default_rng(0).normal(size=50_000)
    found = correct(Correction(), read, write(read, Correction(), slope, intercept, noise))
    # In closed form: slope^2 scale^2 .81 + noise^2 = .81, and slope (scale .1 + shift) + intercept = .1.
    scale = np.sqrt(0.81 - noise**2) / (slope * 0.9)
    if noise**2 < 0.81 * 0.75:
        assert found == pytest.approx((scale, (0.1 - intercept) / slope - 0.1 * scale), abs=0.03)
    written = write(read, found, slope, intercept, noise)
    assert written.mean() == pytest.approx(read.mean(), abs=0.01)
    again = correct(found, read, written)  # there is nothing left to correct
    assert again == pytest.approx(found, abs=0.01)


def test_a_correction_is_bounded_and_needs_something_to_go_by() -> None:
    read = np.random.default_rng(0).normal(size=1000)
    before = Correction(1.2, 0.3)
    assert correct(before, read, np.ones(1000)) == before == correct(before, np.ones(1000), read)
    deaf = correct(Correction(), read, np.random.default_rng(1).normal(size=1000) - 5)
    assert SCALES[0] <= deaf.scale <= SCALES[1] and deaf.shift == SHIFTS[1]
    assert deaf.scale <= 1 / LEAST_SLOPE


def test_draws_that_echo_have_the_weight_of_their_codes(told: TextModel) -> None:
    """The head reads a mean weight from the codes; draws have it once the echo is corrected."""

    def miss() -> float:
        drawn = told.sample(600, seed=5, echo=["weight"], valid_only=False)
        weights = [properties(text, ("weight",))[0] for text in drawn.valid_texts]
        condition = told.autoencoder_.condition
        column = condition.names.index("weight")
        read = told.autoencoder_.head.properties(torch.from_numpy(drawn.latent))[:, column].detach().mean()
        return abs(float(np.mean(weights) - condition.mean[column]) / float(condition.deviation[column]) - float(read))

    before = miss()
    assert told.fitted_.corrections == {}
    found = told.calibrate_echo(["weight"], seed=1)
    assert found.keys() == {"weight"} and told.fitted_.corrections["weight"] == found["weight"] != (1, 0)
    assert miss() < max(0.1, before)
    assert found == told.calibrate_echo(("weight",), seed=1)
    told.fitted_ = replace(told.fitted_, corrections={})


def test_corrections_are_saved_and_checked(told: TextModel, tmp_path: Path) -> None:
    corrected = TextModel.load(told.save(tmp_path / "plain") or tmp_path / "plain")
    corrected.calibrate_echo(["rings", "weight"])
    corrected.save(tmp_path / "saved")
    again = TextModel.load(tmp_path / "saved")
    assert again.fitted_.corrections == corrected.fitted_.corrections
    assert again.sample(20, seed=0, echo=["weight"]).texts == corrected.sample(20, seed=0, echo=["weight"]).texts
    edit(lambda index: index["meta"].update(echo_corrections={"weight": [1.0]}))(tmp_path / "saved")
    with pytest.raises(CheckpointError, match="corrections of an echo"):
        TextModel.load(tmp_path / "saved")


@pytest.mark.filterwarnings("ignore:the training did not learn")
def test_a_training_whose_recipe_echoes_measures_its_corrections() -> None:
    overrides = {**TOLD, "epochs": 2, "batch_size": 32, "echo": ("weight",)}
    model = TextModel("tiny", overrides=overrides).fit(TEXTS * 2)
    assert model.fitted_.corrections.keys() == {"weight"}
    assert grammar_rae.load("molecules").fitted_.corrections.keys() == set(RECIPES["molecules"].echo)


def test_what_cannot_be_corrected(told: TextModel) -> None:
    with pytest.raises(UnknownNameError, match="wieght"):
        told.calibrate_echo(["wieght"])
    with pytest.raises(InputError, match="names of properties"):
        told.calibrate_echo("weight")
    with pytest.raises(InputError, match="no properties to echo"):
        grammar_rae.load("moses").calibrate_echo(["weight"])
