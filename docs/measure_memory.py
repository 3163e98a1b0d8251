"""Measure the peak memory of `prosr upscale` for pictures of growing size.

python docs/measure_memory.py [SCALE]

Writes results/speed/memory.json. Each picture is enlarged by a process of its own, whose peak
memory the system reports. A busy machine does not change the figures much; the time is not kept.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from make_figure import sample
from PIL import Image

from prosr.evaluation.provenance import commit, machine

TARGET = Path(__file__).parents[1] / "results" / "speed" / "memory.json"
SIDES = ((512, 512), (1024, 1024), (2000, 1500), (4000, 3000))
LIMITS = ("512M",)


def peak(picture: Path, scale: int, limit: str) -> int:
    """Peak memory of the command in bytes."""
    output = picture.with_name("enlarged.jpg")
    words = [sys.executable, "-m", "prosr", "upscale", str(picture), "--scale", str(scale)]
    words += ["--max-memory", limit, "--output", str(output), "--overwrite", "--quiet"]
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{picture.name}: exit status {status}")
    output.unlink()
    return usage.ru_maxrss * 1024


def main(scale: int) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for width, height in SIDES:
            repeated = np.tile(sample(), (-(-height // 256), -(-width // 256), 1))
            picture = Path(folder) / f"{width}x{height}.png"
            Image.fromarray(repeated[:height, :width]).save(picture, compress_level=1)
            for limit in LIMITS:
                row = {"width": width, "height": height, "scale": scale, "limit": limit}
                rows.append(row | {"bytes": peak(picture, scale, limit)})
                print(rows[-1], flush=True)
    about = {"machine": machine().cpu, "commit": commit(), "model": "prosr-xs"}
    TARGET.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
