"""Data: texts out of files, the encoded data set that training reads, and public sets to download.

``read_texts`` and ``sample_texts`` read .smi, .csv, .parquet and what they are given; ``encode`` turns texts into a
``CodeDataset``, ``coverage`` says how many a codec takes and what stops the others; ``fetch`` downloads.
Nothing here imports RDKit or NLTK; a codec may, when it prepares or parses a text.
"""

from grammar_rae.datasets.encoded import CodeDataset, Rejected, padded
from grammar_rae.datasets.encoding import Coverage, coverage, encode
from grammar_rae.datasets.fetching import SOURCES, fetch
from grammar_rae.datasets.reading import Row, read_rows, read_texts, sample_texts
from grammar_rae.datasets.writing import comes_from

__all__ = [
    "SOURCES",
    "CodeDataset",
    "Coverage",
    "Rejected",
    "Row",
    "comes_from",
    "coverage",
    "encode",
    "fetch",
    "padded",
    "read_rows",
    "read_texts",
    "sample_texts",
]
