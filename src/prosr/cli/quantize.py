"""`prosr quantize`: a network in 8-bit integers, where that pays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prosr.cli.options import Model, Scales

# fmt: off
Data = Annotated[list[Path], typer.Option("--data", metavar="DIR...", help="Folders of pictures, none of them scored on.")]
# fmt: on


def quantize(model: Model, data: Data, scales: Scales = None) -> None:
    """Let OpenVINO compute a network in 8-bit integers, if that is faster on this machine.

    Half of the pictures show which values occur, the others what is lost: at most 0.03 dB,
    or nothing changes. The result is kept in the user's cache and used from then on. It is
    for photographs: drawings and small text come out better with --engine torch.

    Example: prosr quantize prosr-xs --data photographs/ --scale 4
    """
    from prosr.checkpoints.weights import find
    from prosr.cli.measuring import telling
    from prosr.data.benchmarks import open_benchmark
    from prosr.evaluation.quantization import try_int8
    from prosr.inference.upscaler import MAX_MEMORY
    from prosr.layouts import choose_scales

    benchmarks = [open_benchmark(folder) for folder in dict.fromkeys(data)]
    weights = find(model)
    for scale in choose_scales(weights.name, weights.config.scales, scales or ()):
        with telling() as tell:
            verdict = try_int8(weights.net, scale, benchmarks, MAX_MEMORY, tell)
        typer.echo(
            f"{weights.name} ×{scale}: int8 is {verdict.speed:.2f} times as fast and loses "
            f"{verdict.loss:.3f} dB: {'kept' if verdict.kept else 'not kept'}"
        )
