"""The training loop: one for every model, on Lightning Fabric (CPU, CUDA, bfloat16, one process or several).

From a model it needs only ``autoencoder(x, generator) -> losses``, and from a data set ``len``, ``batch(indices)`` and,
where they exist, ``lengths`` and ``fingerprint``.
"""

from grammar_rae.training.batches import DataSet, plan_batches
from grammar_rae.training.callbacks import Callback, History, ProgressBar, TrainingState
from grammar_rae.training.locking import one_training, training_lock
from grammar_rae.training.loggers import LOGGERS, writers
from grammar_rae.training.loop import fit
from grammar_rae.training.machine import has_bfloat16, release_memory
from grammar_rae.training.processes import count_processes, first_process_first, is_main_process, wait_for_others
from grammar_rae.training.resume import resumed_seed
from grammar_rae.training.schedules import SCHEDULES
from grammar_rae.training.settings import OPTIMIZERS, PRECISIONS, STRATEGIES, TrainingSettings

__all__ = [
    "LOGGERS",
    "OPTIMIZERS",
    "PRECISIONS",
    "SCHEDULES",
    "STRATEGIES",
    "Callback",
    "DataSet",
    "History",
    "ProgressBar",
    "TrainingSettings",
    "TrainingState",
    "count_processes",
    "first_process_first",
    "fit",
    "has_bfloat16",
    "is_main_process",
    "one_training",
    "plan_batches",
    "release_memory",
    "resumed_seed",
    "training_lock",
    "wait_for_others",
    "writers",
]
