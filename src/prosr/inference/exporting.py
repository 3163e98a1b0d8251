"""Networks as files for other programs: ONNX, and OpenVINO's own format."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from prosr.checkpoints.weights import Weights
from prosr.errors import ConfigError
from prosr.files import write_bytes
from prosr.inference.tracing import check, trace
from prosr.layouts import check_scale
from prosr.version import __version__

_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
_TOLERANCE = {"fp32": 1e-4, "fp16": 1e-2}


def export(
    weights: Weights, scale: int, file_format: str, precision: str, output: Path
) -> dict[str, str]:
    """Write the network for one scale, [1, 3, H, W] → [1, 3, sH, sW]; return its metadata.

    H and W stay open, from 2 on; input "x" and result "y" are float32 RGB in [0, 1], the
    result not clipped. With "fp16" parameters, and for ONNX what is computed of R_s, are
    half as wide. The written file is run and compared with PyTorch. OpenVINO's format has
    its values beside it, in a ".bin". Raises `ConfigError` for what is not possible, and
    `InferenceError` where the file does not give what the network does.
    """
    suffix = suffix_of(file_format)
    if precision not in _TOLERANCE:
        raise ConfigError(f"cannot export in {precision!r}; use one of: {', '.join(_TOLERANCE)}")
    metadata = describe(weights, scale, precision)
    net: Any = weights.net
    with TemporaryDirectory(prefix="prosr-") as folder:
        traced, new = Path(folder) / "traced.onnx", Path(folder) / f"exported{suffix}"
        if file_format == "onnx" and precision == "fp16":
            half = copy.deepcopy(net).half()
            trace(half, lambda x: _in_half(half, scale, x), 3, traced)
        else:
            trace(net, lambda x: net(x, scale), 3, traced)
        if file_format == "onnx":
            run = _write_onnx(traced, metadata, new)
        else:
            run = _write_openvino(traced, metadata, new, precision == "fp16")
        check(run, lambda x: net(x, scale), 3, _TOLERANCE[precision])
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


def describe(weights: Weights, scale: int, precision: str) -> dict[str, str]:
    """What the file says of itself: enough to run it in tiles and to know where it is from."""
    net: Any = weights.net
    return {
        "model": weights.name,
        "scale": str(check_scale(scale)),
        "input": "float32 NCHW RGB, 0 to 1",
        "halo": str(net.receptive_radius(scale)),
        "smallest_side": "2",
        "precision": precision,
        "weights_sha256": weights.sha256,
        "made_by": f"prosr {__version__}",
    }


def _in_half(half: nn.Module, scale: int, x: Tensor) -> Tensor:
    """R_s in half precision, and φ_s, where it can be told apart, in full."""
    net: Any = half
    if hasattr(net, "estimate"):
        y_hat: Tensor = net.estimate(net.residual(x.half(), scale).float(), x, scale)
        return y_hat
    y: Tensor = net(x.half(), scale)
    return y.float()


def _write_onnx(traced: Path, metadata: dict[str, str], new: Path) -> Callable[[Tensor], Tensor]:
    import onnx
    import onnxruntime

    model = onnx.load(traced)
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, new)
    session = onnxruntime.InferenceSession(str(new), providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def _write_openvino(
    traced: Path, metadata: dict[str, str], new: Path, compress: bool
) -> Callable[[Tensor], Tensor]:
    import openvino

    from prosr.inference.engines.openvino import core

    model = core().read_model(traced)
    for key, value in metadata.items():
        model.set_rt_info(value, ["prosr", key])
    openvino.save_model(model, new, compress_to_fp16=compress)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core().compile_model(core().read_model(new), "CPU", options)
    return lambda x: torch.from_numpy(compiled(x.numpy())[0])
