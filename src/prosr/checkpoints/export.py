"""A network as one self-contained file for other programs: ONNX, or OpenVINO's own format."""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import openvino
from torch import Tensor

from prosr.checkpoints.graphs import TOLERANCE, check, describe, trace
from prosr.checkpoints.weights import Weights
from prosr.errors import ConfigError
from prosr.files import write_bytes
from prosr.inference.engines.openvino import core
from prosr.scales import check_scale

_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}


def export(
    weights: Weights, scale: int, file_format: str, precision: str, output: Path
) -> dict[str, str]:
    """Write the network for one scale, [1, 3, H, W] → [1, 3, sH, sW]; return its metadata.

    H and W stay open; input "x" and result "y" are float32 RGB in [0, 1], the result not
    clipped. With "fp16" parameters, and in ONNX the computation of R_s, have half the
    width. The written file is run and compared with PyTorch. OpenVINO's format stores its
    values in a ".bin" beside the file. Raises `ConfigError` for an unknown format, precision
    or scale, and `InferenceError` where the file computes something else than the network.
    """
    suffix = suffix_of(file_format)
    if precision not in TOLERANCE:
        raise ConfigError(f"cannot export in {precision!r}; use one of: {', '.join(TOLERANCE)}")
    net = weights.net
    metadata = describe(net, check_scale(scale), weights.name, weights.sha256)
    metadata["precision"] = precision
    with TemporaryDirectory(prefix="prosr-") as folder:
        traced, new = Path(folder) / "traced.onnx", Path(folder) / f"exported{suffix}"
        if file_format == "onnx" and precision == "fp16":
            half: Any = copy.deepcopy(net).half()
            trace(half, scale, traced, lambda x: _in_half(half, scale, x))
        else:
            trace(net, scale, traced)
        if file_format == "onnx":
            model = onnx.load(traced)
            onnx.helper.set_model_props(model, metadata)
            onnx.save(model, new)
        else:
            _write_openvino(traced, metadata, new, precision == "fp16")
        check(new, net, scale, TOLERANCE[precision])
        # The values first: a description without them would be of no use.
        for path in sorted({new.with_suffix(".bin"), new}):
            if path.exists():
                write_bytes(output.with_suffix(path.suffix), path.read_bytes())
    return metadata


def suffix_of(file_format: str) -> str:
    """The suffix of an exported file; raises `ConfigError` for an unknown format."""
    if file_format not in _SUFFIXES:
        raise ConfigError(f"cannot export as {file_format!r}; use one of: {', '.join(_SUFFIXES)}")
    return _SUFFIXES[file_format]


def _in_half(half: Any, scale: int, x: Tensor) -> Tensor:
    """R_s in half precision and φ_s in full; networks without a residual in half."""
    if hasattr(half, "residual"):
        y_hat: Tensor = half.estimate(half.residual(x.half(), scale).float(), x, scale)
        return y_hat
    y: Tensor = half(x.half(), scale)
    return y.float()


def _write_openvino(traced: Path, metadata: dict[str, str], new: Path, compress: bool) -> None:
    model = core().read_model(traced)
    for key, value in metadata.items():
        model.set_rt_info(value, ["prosr", key])
    openvino.save_model(model, new, compress_to_fp16=compress)
