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
from PIL import Image

import prosr
from prosr.data.degradations import jpeg
from prosr.evaluation.metrics import crop_border, psnr, rgb_to_y
from prosr.images.formats import is_picture
from prosr.inference.choosing import CLEAN, ROBUST
from prosr.resample import make_input, to_uint8

QUALITIES, SCALE = (92, 94, 95, 96, 97, 98, 99, 100), 4


def score(folder: Path, model: str, quality: int) -> float:
    """Mean PSNR in dB over the pictures of a folder."""
    upscaler, found = prosr.load(model), []
    for path in sorted(filter(is_picture, folder.iterdir())):
        y = np.asarray(Image.open(path).convert("RGB"))
        height, width = (side // SCALE * SCALE for side in y.shape[:2])
        y = y[:height, :width]
        x = to_uint8(jpeg(make_input(y, SCALE).astype(np.float64), quality))
        estimate = np.asarray(upscaler.upscale(x, scale=SCALE))
        ours, truth = (
            crop_border(rgb_to_y(picture, data_range=255), SCALE) for picture in (estimate, y)
        )
        found.append(psnr(ours, truth, data_range=255))
    return fmean(found)


if __name__ == "__main__":
    for folder in map(Path, sys.argv[1:]):
        for quality in QUALITIES:
            clean, robust = (score(folder, model, quality) for model in (CLEAN, ROBUST))
            print(f"{folder.name} {quality}: {CLEAN} {clean:.2f}, {ROBUST} {robust:.2f}")
