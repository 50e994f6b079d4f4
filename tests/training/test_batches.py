"""Batches: every row once an epoch, like lengths together."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from toys import SETTINGS, rows, toy

from grammar_rae.training import (
    fit,
    plan_batches,
)


@given(
    n=st.integers(1, 3000),
    batch_size=st.integers(1, 40),
    epoch=st.integers(0, 3),
    processes=st.integers(1, 4),
    bucketed=st.booleans(),
)
def test_every_row_once_over_the_processes(n: int, batch_size: int, epoch: int, processes: int, bucketed: bool) -> None:
    lengths = np.random.default_rng(0).integers(1, 30, n) if bucketed else None
    batches = plan_batches(n, batch_size, 7, epoch, lengths, smallest=2 * processes)
    shares = [[batch[rank::processes] for batch in batches] for rank in range(processes)]
    assert sorted(np.concatenate([part for share in shares for part in share])) == list(range(n))
    assert max(map(len, batches)) < batch_size + 2 * processes
    if batch_size >= 2 * processes and n >= 2 * processes:
        assert all(len(part) > 0 for share in shares for part in share)
    again = plan_batches(n, batch_size, 7, epoch, lengths, smallest=2 * processes)
    assert all(map(np.array_equal, batches, again))


def test_batches_differ_from_epoch_to_epoch_and_seed_to_seed() -> None:
    plans = [np.concatenate(plan_batches(100, 10, seed, epoch)).tolist() for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert plans[0] != plans[1] != plans[2] != plans[0]


def test_rows_of_like_length_come_together() -> None:
    lengths = np.random.default_rng(0).geometric(0.1, 20_000)
    batches = plan_batches(20_000, 100, 0, 0, lengths)
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    shuffled = sum(len(batch) * int(lengths[batch].max()) for batch in plan_batches(20_000, 100, 0, 0))
    assert padded < 1.15 * lengths.sum() < 2 * lengths.sum() < shuffled
    means = np.array([lengths[batch].mean() for batch in batches])
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3  # the batches themselves are shuffled


def test_a_lone_last_row_joins_another_batch() -> None:
    assert sorted(map(len, plan_batches(33, 16, 0, 0))) == [16, 17]
    assert sorted(map(len, plan_batches(34, 16, 0, 0))) == [2, 16, 16]
    assert list(map(len, plan_batches(1, 16, 0, 0))) == [1]


def test_a_training_sees_every_row_once_an_epoch() -> None:
    data = rows(150)
    fit(toy(), data, rows(40, seed=1), replace(SETTINGS, epochs=2))
    seen = [row for batch in data.asked for row in batch]
    assert sorted(seen[:150]) == sorted(seen[150:]) == list(range(150))
    assert seen[:150] != seen[150:]
