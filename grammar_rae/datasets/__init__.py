"""Data: texts and images from files, the data sets that training reads, and public sets to download.

``read_texts`` and ``sample_texts`` read files and Python objects; ``encode`` turns texts into a ``TokenDataset``,
``encode_shards`` makes a ``ShardedDataset`` of more than fit into one folder, ``coverage`` counts how many a codec
accepts and why it refuses the others. ``read_images`` turns a file or an array
into an ``ImageDataset``, ``image_set`` opens a public set by its name. ``fetch`` downloads. Nothing here imports RDKit
or NLTK; a codec may, when it prepares or parses a text.
"""

from grammar_rae.datasets.chunks import Chunk, encode_chunks, reject
from grammar_rae.datasets.encoded import DescribedRows, Rejected, TokenDataset, add_facts, pad_tokens
from grammar_rae.datasets.encoding import Coverage, count_reasons, coverage, encode
from grammar_rae.datasets.fetching import SOURCES, fetch
from grammar_rae.datasets.formats import file_bytes, writing_tables
from grammar_rae.datasets.frames import as_pandas, extend_frame, is_frame, join_columns, like
from grammar_rae.datasets.image_files import read_images
from grammar_rae.datasets.image_sets import IMAGE_SETS, image_set
from grammar_rae.datasets.images import ImageDataset, ImageSet
from grammar_rae.datasets.joined import JoinedRows, first_part
from grammar_rae.datasets.reading import (
    Row,
    find_column,
    read_records,
    read_rows,
    read_table,
    read_texts,
    sample_texts,
)
from grammar_rae.datasets.records import Record, Records
from grammar_rae.datasets.rows import choose_rows
from grammar_rae.datasets.sharded import ShardedDataset, open_data
from grammar_rae.datasets.sharding import encode_shards
from grammar_rae.datasets.writing import comes_from

__all__ = [
    "IMAGE_SETS",
    "SOURCES",
    "Chunk",
    "Coverage",
    "DescribedRows",
    "ImageDataset",
    "ImageSet",
    "JoinedRows",
    "Record",
    "Records",
    "Rejected",
    "Row",
    "ShardedDataset",
    "TokenDataset",
    "add_facts",
    "as_pandas",
    "choose_rows",
    "comes_from",
    "count_reasons",
    "coverage",
    "encode",
    "encode_chunks",
    "encode_shards",
    "extend_frame",
    "fetch",
    "file_bytes",
    "find_column",
    "first_part",
    "image_set",
    "is_frame",
    "join_columns",
    "like",
    "open_data",
    "pad_tokens",
    "read_images",
    "read_records",
    "read_rows",
    "read_table",
    "read_texts",
    "reject",
    "sample_texts",
    "writing_tables",
]
