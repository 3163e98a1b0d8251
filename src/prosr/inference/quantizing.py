"""Graphs in 8-bit integers, calibrated by NNCF."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path

import nncf
import openvino
from torch import Tensor

from prosr.inference.engines.openvino import core


def quantize(graph: Path, inputs: Sequence[Tensor], new: Path) -> None:
    """Write `graph`'s convolutions in 8 bits, with ranges that `inputs` show, as `new` (.xml).

    The first and the last convolution stay in float32: they cost little, and the picture's
    own values pass through them. With them in 8 bits, prosr-xs lost twice as much.
    """
    model = core().read_model(graph)
    names = [
        op.get_friendly_name()
        for op in model.get_ordered_ops()
        if op.get_type_name() == "Convolution"
    ]
    ends = nncf.IgnoredScope(names=[names[0], names[-1]])
    data = nncf.Dataset([x.numpy() for x in inputs])
    nncf.set_log_level(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        quantized = nncf.quantize(model, data, ignored_scope=ends, subset_size=len(inputs))
    new.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(quantized, new, compress_to_fp16=False)
