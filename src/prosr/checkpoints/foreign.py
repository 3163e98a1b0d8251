"""The one entry for foreign weights: a released file becomes a network of ours."""

from __future__ import annotations

from pathlib import Path

from prosr.checkpoints import matfiles
from prosr.checkpoints.adapter import Foreign
from prosr.checkpoints.matconvnet import read_matconvnet
from prosr.checkpoints.released import read_prosr
from prosr.checkpoints.torchfiles import Refused, head
from prosr.checkpoints.vdsr import read_vdsr
from prosr.errors import CheckpointError

SUFFIXES = (".pth", ".pt", ".mat", ".safetensors")
"""Of the files that can be converted."""


def read_foreign(path: Path) -> Foreign:
    """Return the network in a released file, recognised by its content.

    Reads ProSR's .pth, LapSRN's and MS-LapSRN's .mat and VDSR's .safetensors, and executes
    nothing in them. Raises `CheckpointError` in one line with the file's name and a reason.
    """
    start = head(path)
    try:
        if start == matfiles.MAGIC:
            return read_matconvnet(path)
        return read_vdsr(path) if start[8:9] == b"{" else read_prosr(path)
    except Refused as refusal:
        raise CheckpointError(f"{path}: cannot be converted; {refusal}") from refusal
