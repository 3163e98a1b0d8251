"""MatConvNet's files are read exactly; other files are refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

import fake_matconvnet
from prosr.checkpoints import matconvnet
from prosr.checkpoints.torchfiles import Refused

KERNEL = np.arange(3 * 2 * 4 * 5, dtype=np.float32).reshape(3, 2, 4, 5)


def saved(tmp_path: Path, compressed: bool = False) -> bytes:
    parameters = {"a_f": KERNEL, "a_b": np.ones((1, 5), np.float32), "b_f": KERNEL[:, :, :, 0]}
    layers = [("a", ("a_f", "a_b"), None), ("relu", (), 0.2)]
    return fake_matconvnet.save(tmp_path / "n.mat", parameters, layers, compressed).read_bytes()


@pytest.mark.parametrize("compressed", [False, True])
def test_tensors_have_pytorchs_order_of_dimensions(compressed: bool, tmp_path: Path) -> None:
    tensors, layers = matconvnet.unpack(saved(tmp_path, compressed))
    assert tensors["a_f"].shape == (5, 4, 3, 2)
    assert tensors["a_f"][4, 3, 2, 1] == KERNEL[2, 1, 3, 4]
    assert tensors["b_f"].shape == (1, 4, 3, 2)
    assert torch.equal(tensors["a_b"], torch.ones(5))
    assert layers == {"a": ["a_f", "a_b"], "relu": []}


def refusal(data: bytes) -> str:
    with pytest.raises(Refused) as refused:
        matconvnet.unpack(data)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_another_matlab_file_is_refused(tmp_path: Path) -> None:
    for content in ({"picture": KERNEL}, {"net": KERNEL}, {"net": {"params": 1.0}}):
        scipy.io.savemat(tmp_path / "other.mat", content)
        message = refusal((tmp_path / "other.mat").read_bytes())
        assert "not a network saved by MatConvNet" in message


def test_another_leak_is_refused(tmp_path: Path) -> None:
    layers = [("a", (), 0.2), ("b", (), 0.1)]
    path = fake_matconvnet.save(tmp_path / "n.mat", {"a_f": KERNEL}, layers)
    with pytest.raises(Refused, match=r"0\.1, 0\.2"):
        matconvnet.unpack(path.read_bytes())
