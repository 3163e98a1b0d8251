"""docs/add_dcus.py: a deeper network that computes the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from prosr.checkpoints.finding import find
from prosr.layouts import ProSRConfig

SCRIPT = Path(__file__).parents[1] / "docs" / "add_dcus.py"


def test_new_dcus_change_no_result(tmp_path: Path) -> None:
    path = tmp_path / "deeper.safetensors"
    subprocess.run([sys.executable, SCRIPT, "prosr-xs", "14", path], check=True)
    net, deeper = find("prosr-xs").net.eval(), find(path).net.eval()
    assert isinstance(deeper.layout, ProSRConfig)
    assert len(deeper.layout.dcus[0]) == 14
    x = torch.rand(1, 3, 12, 10)
    with torch.no_grad():
        for scale in net.scales:
            assert torch.equal(net(x, scale), deeper(x, scale))


def test_fewer_dcus_are_refused(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "prosr-xs", "11", str(tmp_path / "a.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "has 11 DCUs already" in done.stderr
    assert not list(tmp_path.iterdir())
