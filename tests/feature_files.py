"""Writes files of feature networks with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from prosr.nets.features import VGG16, DistilledVGG19


def write_distilled(path: Path) -> Path:
    """A distilled network whose features have about the magnitude of its input."""
    torch.manual_seed(0)
    net = DistilledVGG19()
    with torch.no_grad():
        for value in net.parameters():
            if value.dim() == 4:
                torch.nn.init.kaiming_normal_(value)
            else:
                value.zero_()
    save_file(net.state_dict(), path)
    return path


def write_vgg16(path: Path) -> Path:
    """VGG16's feature layers with random weights, as torch.save writes them."""
    torch.manual_seed(0)
    torch.save(VGG16().state_dict(), path)
    return path
