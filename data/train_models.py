"""Train a model of the box again: ``python data/train_models.py expressions run``.

The data are those that the model's card names: made here, downloaded and checked, or, for ``molecules``, what
``prepare_druglike.py`` wrote into the folder given with ``--data``. The run lies in the folder given and goes on where
it was stopped; in the end its small copy takes the place of the model in the box.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warm_start import Warm

import grammar_rae
from grammar_rae import checkpoint
from grammar_rae.datasets import fetch
from grammar_rae.expressions import expression_set
from grammar_rae.training import is_main_process

BOX = Path(__file__).parent / "models"
EXPRESSIONS = 100_000  # of the set, as the grammar VAE was trained on

TRAINING: dict[str, dict[str, Any]] = {
    "expressions": {},
    # The recipe's time limit and temperature are for trainings of minutes. These passes take hours, and a model so well
    # trained needs less boldness: its unlikeliest steps left out. The knobs were chosen on the molecules that validate.
    "moses": {
        "epochs": 6,
        "time_limit": None,
        "validate_every": None,
        "smoothing": 3.0,
        "temperature": 1.0,
        "top_p": 0.95,
    },
    # Eight hours of one core; the learning rate falls in the last fifth. To go on for longer, raise the limit before.
    "molecules": {
        "time_limit": 28_800.0,
        "validate_every": 900.0,
        "checkpoint_every": 150.0,
        "precision": "32-true",
        "temperature": 0.5,
        "top_p": 0.9,
    },
}


def expressions(arguments: argparse.Namespace, **options: Any) -> Any:
    """100,000 expressions."""
    return grammar_rae.train(expression_set()[:EXPRESSIONS], "expressions", **options)


def moses(arguments: argparse.Namespace, folder: Path, resume: bool, **options: Any) -> Any:
    """MOSES's training set, downloaded; with ``--start``, a training that goes on from weights, on encoded rows."""
    if arguments.start is None:
        return grammar_rae.train(fetch("moses"), "moses", folder=folder, resume=resume, **options)
    if arguments.data is None or arguments.hours is None:
        raise SystemExit(
            "moses with --start needs --data, which grammar-rae encode -m moses -o DATA/ wrote, and --hours"
        )
    model = Warm("moses", overrides=options | {"epochs": None, "validate_every": 600.0} | _choices(arguments))
    model.start, model.levels = arguments.start, {"clean": arguments.clean, "skew": arguments.skew}
    model.fit(arguments.data, folder=folder, resume=resume)
    return model


def molecules(arguments: argparse.Namespace, folder: Path, resume: bool, **options: Any) -> Any:
    """The prepared drug-like molecules, beginning with the weights of another such run, of a model, or of ``moses``."""
    if arguments.data is None:
        raise SystemExit("molecules needs --data, the folder that prepare_druglike.py wrote")
    model = Warm("molecules", overrides=options | _choices(arguments))
    model.start = arguments.start
    model.fit(arguments.data / "train", validation=arguments.data / "validation", folder=folder, resume=resume)
    return model


def _choices(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was chosen of a training's settings on the command line."""
    chosen = {
        "time_limit": None if arguments.hours is None else 3600 * arguments.hours,
        "batch_size": arguments.batch_size,
        "schedule": arguments.schedule,
        "learning_rate": arguments.learning_rate,
    }
    return {name: value for name, value in chosen.items() if value is not None}


TRAINED: dict[str, Callable[..., Any]] = {"expressions": expressions, "molecules": molecules, "moses": moses}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(TRAINED))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=None, help="the encoded rows: molecules, and moses with --start")
    parser.add_argument("--start", type=Path, default=None, help="the run or model whose weights begin")
    parser.add_argument("--hours", type=float, default=None, help="in all, to which the schedule is fitted")
    parser.add_argument("--batch-size", type=int, default=None, help="another one than the recipe's")
    parser.add_argument("--learning-rate", type=float, default=None, help="its highest, another one than the recipe's")
    later = "moses with --start, which reconstructs already and learns to sample"
    parser.add_argument("--clean", type=float, default=0.1, help=f"the share of rows without noise: {later}")
    parser.add_argument("--skew", type=float, default=2.5, help=f"how much more often noise is high than low: {later}")
    parser.add_argument("--schedule", default=None, help="of the learning rate, another than the recipe's")
    arguments = parser.parse_args()
    resume = checkpoint.exists(arguments.folder / "state")
    options = TRAINING[arguments.name]
    model = TRAINED[arguments.name](arguments, folder=arguments.folder, resume=resume, **options)
    if is_main_process():  # of those that torchrun started
        model.save(BOX / arguments.name, compact=True)


if __name__ == "__main__":
    main()
