"""An SDF through ``encode`` to Parquet, beside RDKit's own reading of it."""

import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from grammar_rae.chem.blocks import block_or_none
from grammar_rae.chem.log import quiet
from grammar_rae.cli.files import writing_tables
from grammar_rae.cli.latent import code_table
from grammar_rae.datasets import read_records, read_texts
from grammar_rae.model import TextModel
from grammar_rae.model.streaming import RecordEncoder


def run(source: Path, model: TextModel, n: int, jobs: int, rounds: int = 3) -> list[dict[str, Any]]:
    """Seconds of wall and of this process for the first n records, read by RDKit and encoded, in turns.

    Parameters
    ----------
    source
        An SDF.
    n
        How many of its records.
    jobs
        Processes that read and parse; their time counts in the wall's alone.
    """
    rows: list[dict[str, Any]] = []
    for turn in range(rounds):
        for what, work in (("RDKit reads", _read), ("encode", _encode)):
            wall, own = time.perf_counter(), time.process_time()
            done = work(source, model, n, jobs)
            rows.append(
                {
                    "what": what,
                    "round": turn,
                    "records": done,
                    "jobs": jobs,
                    "wall": time.perf_counter() - wall,
                    "process": time.process_time() - own,
                }
            )
    return rows


@quiet
def _read(source: Path, model: TextModel, n: int, jobs: int) -> int:
    blocks = (text for _, text in islice(read_texts(source, blocks=True), n))
    return sum(block_or_none(text) is not None for text in blocks)


def _encode(source: Path, model: TextModel, n: int, jobs: int) -> int:
    names, records = read_records(source)
    encoder = RecordEncoder(model, islice(records, n), "warn", jobs=jobs, polish=0)
    with TemporaryDirectory() as folder, writing_tables(Path(folder) / "codes.parquet") as write:
        for part in encoder:
            write(code_table(names, part))
    return encoder.encoded
