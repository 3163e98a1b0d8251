"""Score the networks that `auto` chooses between, by the quality of JPEG inputs, at 4 times.

python docs/score_qualities.py FOLDER...

Prints a line for each folder of pictures and quality: the mean PSNR of the network for clean and of
the one for degraded pictures, protocol `paper`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean

import numpy as np

import prosr
from prosr.data.benchmarks import open_benchmark
from prosr.data.degradations import jpeg
from prosr.evaluation.protocol import bounded_psnr, find_protocol
from prosr.inference.choosing import CLEAN, ROBUST
from prosr.resample import to_uint8

QUALITIES, SCALE = (92, 94, 95, 96, 97, 98, 99, 100), 4


def score(folder: Path, model: str, quality: int) -> float:
    """Mean PSNR in dB over the pictures of a folder."""
    upscaler, protocol, found = prosr.load(model), find_protocol("paper"), []
    for pair in open_benchmark(folder).pairs(SCALE):
        x = to_uint8(jpeg(pair.x.astype(np.float64), quality))
        y_hat = upscaler.upscale(x, scale=SCALE)
        a, b = (protocol.prepare(picture, SCALE) for picture in (y_hat, pair.y))
        found.append(bounded_psnr(a, b))
    return fmean(found)


if __name__ == "__main__":
    for folder in map(Path, sys.argv[1:]):
        for quality in QUALITIES:
            clean, robust = (score(folder, model, quality) for model in (CLEAN, ROBUST))
            print(f"{folder.name} {quality}: {CLEAN} {clean:.2f}, {ROBUST} {robust:.2f}")
