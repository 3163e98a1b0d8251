"""The log of a run: one JSON object per line, and the same numbers in TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from prosr.files import write_text
from prosr.images import Canvas, Metadata, find_format


class RunLog:
    """Appends to log.jsonl and tensorboard/ in a run's folder.

    Opening it at a step removes all later entries, since those steps are taken again.
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
        """Log numbers. TensorBoard shows them as `kind/name`."""
        self._lines.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
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


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
