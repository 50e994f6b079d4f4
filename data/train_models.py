"""Train a model of the box again: ``python data/train_models.py expressions run``.

The data are those that the model's card names: made here, or downloaded and checked. The run lies in the folder given
and goes on where it was stopped; in the end its small copy takes the place of the model in the box.
"""

import argparse
from pathlib import Path
from typing import Any

import grammar_rae
from grammar_rae import checkpoint
from grammar_rae.datasets import fetch
from grammar_rae.expressions import expression_set

BOX = Path(__file__).parent / "models"
EXPRESSIONS = 100_000  # of the set, as the grammar VAE was trained on

DATA = {"expressions": lambda: expression_set()[:EXPRESSIONS], "molecules": lambda: fetch("moses")}
TRAINING: dict[str, dict[str, Any]] = {
    "expressions": {},
    # The recipe's time limit and temperature are for trainings of minutes. These passes take hours, and a model so well
    # trained needs less boldness: its unlikeliest steps left out. The knobs were chosen on the molecules that validate.
    "molecules": {"epochs": 6, "time_limit": None, "validate_every": None, "temperature": 1.0, "top_p": 0.96},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(DATA))
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    resume = checkpoint.exists(arguments.folder / "state")
    model = grammar_rae.train(
        DATA[arguments.name](), arguments.name, folder=arguments.folder, resume=resume, **TRAINING[arguments.name]
    )
    model.save(BOX / arguments.name, compact=True)


if __name__ == "__main__":
    main()
