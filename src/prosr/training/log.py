"""The log of a run: JSON lines, the same numbers in TensorBoard, and sheets of samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from prosr.data.benchmarks import Benchmark
from prosr.files import write_text
from prosr.images.formats import find_format
from prosr.images.metadata import Metadata
from prosr.images.samples import to_unit
from prosr.images.writing import Canvas
from prosr.inference.engines.torch import TorchEngine
from prosr.inference.memory import default_memory
from prosr.resample import upscale
from prosr.scales import Scale
from prosr.training.run import Run


class RunLog:
    """Appends to log.jsonl and tensorboard/ in a run's folder.

    Opening it at a step removes all later entries, since those steps will be repeated.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            write_text(path, "".join(line for line in lines if _step_of(line) <= step))
        self._lines = path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        """Log numbers; those that are not finite as null. TensorBoard shows them as `kind/name`."""
        finite = {name: value if isfinite(value) else None for name, value in values.items()}
        line = json.dumps({"kind": kind, "step": step, **finite}, allow_nan=False)
        self._lines.write(f"{line}\n")
        self._lines.flush()
        for name, value in values.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)

    def draw(self, name: str, step: int, picture: NDArray[np.float32]) -> None:
        """Save a picture, [H, W, 3] in [0, 1], as NAME/STEP.png and in TensorBoard."""
        height, width = picture.shape[:2]
        target, png = self._folder / name / f"{step:07}.png", find_format(".png")
        with Canvas(target, png, (height, width), 3, np.dtype(np.uint8), Metadata()) as canvas:
            canvas.put(0, 0, picture)
            canvas.save()
        self._board.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Close the files."""
        self._lines.close()
        self._board.close()


def draw_samples(run: Run, benchmark: Benchmark, scale: Scale) -> NDArray[np.float32]:
    """A sheet of centre crops of the first four pictures, one a row: [H, W, 3] in [0, 1].

    A crop has 192 pixels of y on each side, or fewer if a picture is smaller. The columns are
    the low-resolution input, bicubic, the weights that the run started from (if any), the
    averaged weights, and the ground truth.
    """
    nets = [run.average] if run.first is None else [run.first.net, run.average]
    engines = [TorchEngine(net, default_memory()) for net in nets]
    pairs = list(benchmark.first(4).pairs(scale))
    side = min(192 // scale, *(length for pair in pairs for length in pair.x.shape[:2]))
    rows = []
    for pair in pairs:
        top, left = ((length - side) // 2 for length in pair.x.shape[:2])
        x = to_unit(pair.x[top:, left:][:side, :side]).transpose(2, 0, 1)[None]
        y = to_unit(pair.y[scale * top :, scale * left :][: scale * side, : scale * side])
        columns = [x.repeat(scale, 2).repeat(scale, 3), upscale(x, scale)]
        columns += [*(engine.run(x, scale) for engine in engines), y.transpose(2, 0, 1)[None]]
        rows.append(np.concatenate(columns, axis=3))
    sheet: NDArray[np.float32] = np.concatenate(rows, axis=2)[0].transpose(1, 2, 0).clip(0, 1)
    return sheet


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
