"""Fit NIQE's parameters to sharp patches of photographs and store them in the package.

python docs/fit_niqe.py FOLDER [PICTURES]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from prosr.evaluation import niqe
from prosr.evaluation.metrics import Float
from prosr.files import replacing
from prosr.images.formats import is_picture
from prosr.images.reading import read_rgb

TARGET = Path(__file__).parents[1] / "src" / "prosr" / "evaluation" / "niqe.npz"
MOST = 960
"""Largest side of the part that is cut from the middle of each picture."""
SHARP = 0.75
"""Fits use patches with more than this fraction of the sharpness of the picture's sharpest."""


def middle(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = read_rgb(path)
    top, left = (max(length - MOST, 0) // 2 for length in pixels.shape[:2])
    return pixels[top : top + MOST, left : left + MOST]


def sharp_features(path: Path) -> Float:
    features, sharpness = niqe.patch_features(middle(path))
    sharp: Float = features[sharpness > SHARP * sharpness.max(initial=0)]
    return sharp


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    paths = sorted(path for path in folder.rglob("*") if is_picture(path))
    count = min(int(sys.argv[2]) if len(sys.argv) > 2 else len(paths), len(paths))
    chosen = [paths[i * len(paths) // count] for i in range(count)]
    features = [sharp_features(path) for path in chosen]
    fitted = np.concatenate(features)
    fitted = fitted[np.isfinite(fitted).all(axis=1)]
    about = f"{sum(map(len, features))} patches of {count} pictures from {folder.name}"
    with replacing(TARGET) as temporary:
        np.savez(
            temporary,
            mean=fitted.mean(axis=0),
            covariance=np.cov(fitted, rowvar=False),
            about=np.array(about),
        )
    print(about)
