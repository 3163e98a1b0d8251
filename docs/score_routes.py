"""Score the ways by which a network can make a factor that is none of its scales.

python docs/score_routes.py SET [FACTOR...]

Inputs are pictures of the set, reduced by MATLAB's bicubic. Each way is a list of scales that the
network runs with; the bicubic brings the result to the size of the picture. The scores are PSNR of
luminance, a border of the factor cropped. They go into results/sizes/routes.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

import prosr
from prosr.data.benchmarks import open_benchmark
from prosr.evaluation.metrics import psnr
from prosr.evaluation.protocol import DATA_RANGE, find_protocol
from prosr.files import write_rows
from prosr.images.reading import read_rgb
from prosr.resample import make_input, resize_axis, to_uint8

RESULTS = Path(__file__).parents[1] / "results" / "sizes" / "routes.json"
WAYS: dict[float, list[tuple[int, ...]]] = {
    1.5: [(2,), (4,)],
    2.2: [(2,), (4,)],
    2.5: [(2,), (4,)],
    3: [(4,), (8,), (2,), (2, 2)],
    5: [(4,), (8,), (4, 2)],
    6: [(4,), (8,), (4, 2)],
    12: [(2, 8), (4, 4), (8, 2)],
    16: [(2, 8), (4, 4), (8, 2)],
}


def resized(x: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
    for axis, out in enumerate(size):
        x = resize_axis(x.astype(np.float64), axis, out)
    return x


def score(folder: Path, factor: float) -> dict[str, Any]:
    """PSNR of each way on a set; without scales, the bicubic alone enlarges."""
    upscaler, protocol = prosr.load("prosr-xs"), find_protocol("paper")
    border = max(2, int(np.ceil(factor)))
    scores: dict[str, list[float]] = {}
    for path in open_benchmark(folder).paths:
        y = read_rgb(path)
        small = int(y.shape[0] / factor), int(y.shape[1] / factor)
        size = round(small[0] * factor), round(small[1] * factor)
        y = y[: size[0], : size[1]]
        reduced = make_input(y, 3) if factor == 3 else to_uint8(resized(y, small))
        x = reduced.astype(np.float32) / 255
        for way in [(), *WAYS[factor]]:
            larger: NDArray[Any] = x
            for scale in way:
                larger = upscaler.upscale(larger, scale).clip(0, 1)
            y_hat = to_uint8(255 * resized(larger, size))
            a, b = (protocol.prepare(picture, border) for picture in (y_hat, y))
            name = " ".join(map(str, way)) or "bicubic"
            scores.setdefault(name, []).append(psnr(a, b, data_range=DATA_RANGE))
    means = {name: round(fmean(values), 3) for name, values in scores.items()}
    return {"set": folder.name, "factor": factor, "model": upscaler.name, "psnr": means}


def main() -> None:
    folder, *factors = sys.argv[1:]
    old = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else []
    rows = {(row["set"], row["factor"]): row for row in old}
    for factor in [float(text) for text in factors] or WAYS:
        row = score(Path(folder), factor)
        sys.stdout.write(f"{row}\n")
        rows[row["set"], factor] = row
        write_rows(RESULTS, [rows[key] for key in sorted(rows)])


if __name__ == "__main__":
    main()
