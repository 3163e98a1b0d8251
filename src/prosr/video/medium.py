"""Clips as a medium of `prosr.jobs`."""

from __future__ import annotations

import math
from pathlib import Path
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from prosr.errors import ImageError
from prosr.images import Making, origin_of, shown
from prosr.inference.estimates import Estimate
from prosr.inference.memory import RESERVED
from prosr.inference.upscaler import Progress, Upscaler
from prosr.video.clips import open_clip
from prosr.video.enlarging import check_target, enlarge_clip, frame_memory

_LEAST = 100_000_000
"""Bytes that tiles need at least."""

_CUT_OFF = 1.0
"""Seconds that a result may be shorter than its clip says, without a remark."""


class Clips:
    """Implements `prosr.jobs.running.Medium`; progress counts frames."""

    def reserve(self, path: Path, scale: int, max_memory: int) -> int:
        held = frame_memory(open_clip(path), scale)
        if (need := held + RESERVED + _LEAST) > max_memory:
            raise ImageError(
                f"{shown(path)}: its enlarged frames need a memory limit of "
                f"{math.ceil(need / 1e6)} MB; allow it, or enlarge less"
            )
        return held

    def estimate(self, upscaler: Upscaler, source: Path, target: Path, scale: int) -> Estimate:
        clip = open_clip(source)
        check_target(clip, target, scale)
        seconds = 0.0
        for number, frame in enumerate(clip.read(0)):
            start = perf_counter()
            upscaler.upscale(frame.samples, scale)
            seconds = perf_counter() - start
            # The first frame takes longer: it includes work that is done only once.
            if number:
                break
        size = scale * clip.width, scale * clip.height
        memory = upscaler.memory((clip.height, clip.width), scale) + frame_memory(clip, scale)
        return Estimate(*size, clip.frames, clip.frames * seconds, memory, "frame")

    def enlarge(
        self, upscaler: Upscaler, source: Path, target: Path, scale: int, progress: Progress | None
    ) -> str:
        def enlarge(samples: NDArray[Any]) -> NDArray[Any]:
            return upscaler.upscale(samples, scale)

        clip = open_clip(source)
        check_target(clip, target, scale)
        making = Making(upscaler.mark(scale), origin_of(source))
        end = enlarge_clip(clip, target, scale, enlarge, making, progress)
        if clip.seconds - end > _CUT_OFF:
            return f"ends at {end:.1f} of {clip.seconds:.1f} s: the clip seems to be cut off"
        return ""
