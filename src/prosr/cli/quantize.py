"""`prosr quantize`: use 8-bit integers if they are faster and accurate enough."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prosr.cli.options import Model, Scales

# fmt: off
Data = Annotated[list[Path], typer.Option("--data", metavar="DIR...", help="Folders of pictures that are not used for scoring.")]
# fmt: on


def quantize(model: Model, data: Data, scales: Scales = None) -> None:
    """Quantize a network to 8-bit integers, if that is faster on this machine.

    Half of the pictures are for calibration, the other half for measuring the loss. If the loss
    exceeds 0.03 dB, nothing changes. The quantized graph stays in the user's cache, and OpenVINO
    uses it from then on. It suits photographs: drawings and small text look better with --engine
    torch or onnx. Needs the extra "int8".

    Example: prosr quantize prosr-xs --data photographs/ --scale 4
    """
    from prosr.cli.tables import status_line
    from prosr.data.benchmarks import open_benchmark
    from prosr.inference.loading import find_model
    from prosr.inference.memory import default_memory
    from prosr.lab.quantization import try_int8
    from prosr.scales import choose_scales

    benchmarks = [open_benchmark(folder) for folder in dict.fromkeys(data)]
    found = find_model(model)
    for scale in choose_scales(found.name, found.scales, scales or ()):
        with status_line() as tell:
            trial = try_int8(found, scale, benchmarks, default_memory(), tell)
        typer.echo(
            f"{found.name} ×{scale}: int8 is {trial.speed:.2f} times as fast and loses "
            f"{trial.loss:.3f} dB: {'kept' if trial.kept else 'not kept'}"
        )
