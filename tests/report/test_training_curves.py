"""Curves of a training: what is drawn of its history, and what would mislead."""

from grammar_rae.report.training import curves_of


def row(step: int, loss: float | None, validation: float | None = None) -> dict[str, float | None]:
    return {"step": step, "seconds": step / 10, "loss": loss, "validation_loss": validation}


def test_every_row_with_a_figure_is_a_point() -> None:
    curves = curves_of([row(10, 3.0), row(20, 2.0, 2.5), row(30, None, 2.4)])
    assert curves == {"loss": ([1.0, 2.0], [3.0, 2.0]), "validation_loss": ([2.0, 3.0], [2.5, 2.4])}


def test_a_mean_of_few_steps_is_left_out_and_its_validation_is_not() -> None:
    curves = curves_of([row(10, 3.0), row(20, 2.0), row(30, 1.5), row(31, 9.0, 1.6)])
    assert curves["loss"] == ([1.0, 2.0, 3.0], [3.0, 2.0, 1.5])
    assert curves["validation_loss"] == ([3.1], [1.6])


def test_a_training_of_few_steps_and_one_of_none() -> None:
    assert curves_of([row(1, 3.0, 2.0)])["loss"] == ([0.1], [3.0])
    assert curves_of([]) == {}
