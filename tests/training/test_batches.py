"""Batches: every row once an epoch, like lengths together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import InterruptAt
from toys import SETTINGS, rows, toy

from grammar_rae.training import batches as planning
from grammar_rae.training import fit, plan_batches


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


class LazyLengths:
    """Lengths that nobody holds."""

    def of(self, rows: np.ndarray) -> np.ndarray:
        return rows % 7


@settings(max_examples=40)
@given(
    n=st.integers(1, 1000),
    batch_size=st.integers(1, 40),
    processes=st.integers(1, 4),
    bucketed=st.booleans(),
    block=st.integers(1, 50),
    blocks=st.integers(1, 9),
)
def test_blocks_hold_every_row_once_in_any_order_of_asking(
    n: int, batch_size: int, processes: int, bucketed: bool, block: int, blocks: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "BLOCK", block)
        patch.setattr(planning, "BUFFER", block * blocks)
        lengths = LazyLengths() if bucketed else None
        plan = planning.BlockPlan(n, batch_size, 7, 1, lengths, 2 * processes)
        batches = list(plan)
        assert sorted(np.concatenate(batches)) == list(range(n))
        assert len(batches) == len(plan)
        again = planning.BlockPlan(n, batch_size, 7, 1, lengths, 2 * processes)
        for index in np.random.default_rng(n).permutation(len(plan)):
            assert np.array_equal(again[int(index)], batches[index])
        assert np.array_equal(plan[-1], batches[-1])
        assert all(map(np.array_equal, plan[:3], batches[:3])) and len(plan[1:]) == len(plan) - 1
        for wrong in (len(plan), -len(plan) - 1):
            with pytest.raises(IndexError):
                plan[wrong]
        if block * blocks >= 4 * processes and batch_size >= 2 * processes and n > block * blocks:
            assert min(map(len, batches)) >= processes


def test_large_data_are_shuffled_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "BLOCK", 50)
    monkeypatch.setattr(planning, "BUFFER", 500)
    one, other = plan_batches(5_000, 16, 0, 0), plan_batches(5_000, 16, 0, 1)
    assert isinstance(one, planning.BlockPlan) and isinstance(plan_batches(500, 16, 0, 0), list)
    order = np.concatenate(list(one))
    assert not np.array_equal(order, np.concatenate(list(other)))
    assert abs(np.corrcoef(order, np.arange(5_000))[0, 1]) < 0.3
    assert len({int(row) // 50 for row in one[0]}) > 5  # rows of many blocks in a batch


def test_a_training_goes_on_in_the_middle_of_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "BLOCK", 8)
    monkeypatch.setattr(planning, "BUFFER", 32)
    whole, parts = rows(150), rows(150)
    fit(toy(), whole, rows(40, seed=1), replace(SETTINGS, epochs=2))
    stopped = fit(toy(), parts, rows(40, seed=1), replace(SETTINGS, epochs=2), tmp_path, [InterruptAt(3)])
    assert stopped.stopped == "interrupted"
    fit(toy(), parts, rows(40, seed=1), replace(SETTINGS, epochs=2), tmp_path, resume=True)
    asked = [row for batch in whole.asked for row in batch]
    assert asked == [row for batch in parts.asked for row in batch]
    assert sorted(asked[:150]) == sorted(asked[150:]) == list(range(150))
