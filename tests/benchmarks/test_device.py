"""The comparison of devices, of the CPU with itself."""

import pytest
import torch

from benchmarks import device
from grammar_rae.errors import InputError


@pytest.mark.slow
def test_the_cpu_agrees_with_itself() -> None:
    rows = {row["compared"]: row for row in device.run("cpu", rows=4, seconds=0)}
    assert rows["codes"]["largest_difference"] == rows["log-probabilities"]["largest_difference"] == 0
    decoded = [row["equal"] for name, row in rows.items() if name.startswith("decoded")]
    assert decoded == [1.0] * 4
    assert all(row["validity"] == row["validity_cpu"] for name, row in rows.items() if name.startswith("draws"))
    assert rows["mixture by EM, mean log-likelihood"]["difference"] < 1e-6
    loss = rows["validation loss after an epoch"]
    assert loss["value"] == loss["value_cpu"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(InputError, match="no such device"):
        device.run("cuda")
