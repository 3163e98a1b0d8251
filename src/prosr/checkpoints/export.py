"""A network as one self-contained file for other programs: ONNX, or OpenVINO's own format."""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import onnx
import openvino
from torch import Tensor, nn

from prosr.checkpoints.graphs import TOLERANCE, check, describe, trace
from prosr.checkpoints.weights import Weights
from prosr.files import write_bytes
from prosr.inference.engines.openvino import core
from prosr.nets.generator import ProSR
from prosr.nets.network import Network
from prosr.scales import check_scale

Format = Literal["onnx", "openvino"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml"}


def export(
    weights: Weights,
    scale: int,
    file_format: Format,
    precision: Literal["fp32", "fp16"],
    output: Path,
    over: bool = True,
) -> dict[str, str]:
    """Write the network for one scale, [1, 3, H, W] → [1, 3, sH, sW]; return its metadata.

    H and W are dynamic. Input "x" and output "y" are float32 RGB in [0, 1]; the output is not
    clipped. With "fp16" parameters, and in ONNX the computation of R_s, have half the width. The
    written file is run and compared with PyTorch. OpenVINO's format stores its values in a ".bin"
    beside the file. Files are replaced only with `over`. Raises `ConfigError` for an unknown
    scale, and `InferenceError` if the file does not compute what the network does.
    """
    net = weights.net
    metadata = describe(net, check_scale(scale), weights.name, weights.sha256)
    metadata["precision"] = precision
    with TemporaryDirectory(prefix="prosr-") as folder:
        traced = Path(folder) / "traced.onnx"
        new = Path(folder) / f"exported{SUFFIXES[file_format]}"
        in_half = file_format == "onnx" and precision == "fp16"
        trace(_Half(net) if in_half else net, scale, traced)
        if file_format == "onnx":
            model = onnx.load(traced)
            onnx.helper.set_model_props(model, metadata)
            onnx.save(model, new)
        else:
            _write_openvino(traced, metadata, new, precision == "fp16")
        check(new, net, scale, TOLERANCE[precision])
        # Write the values first: a description without them would be useless.
        for path in sorted({new.with_suffix(".bin"), new}):
            if path.exists():
                write_bytes(output.with_suffix(path.suffix), path.read_bytes(), over)
    return metadata


class _Half(nn.Module):
    """R_s in half precision and φ_s in full; networks without a residual in half."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = copy.deepcopy(net).half()

    def forward(self, x: Tensor, scale: int) -> Tensor:
        if isinstance(self.net, ProSR):
            residual = self.net.residual(x.half(), scale).float()
            return self.net.estimate(residual, x, scale)
        return self.net(x.half(), scale).float()


def _write_openvino(traced: Path, metadata: dict[str, str], new: Path, compress: bool) -> None:
    model = core().read_model(traced)
    for key, value in metadata.items():
        model.set_rt_info(value, ["prosr", key])
    openvino.save_model(model, new, compress_to_fp16=compress)
