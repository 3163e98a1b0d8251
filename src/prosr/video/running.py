"""Clips as jobs of a batch, with the same outcomes as pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from prosr.errors import ImageError
from prosr.images import Making, origin_of, shown
from prosr.inference.estimates import Estimate
from prosr.inference.memory import RESERVED
from prosr.inference.upscaler import Progress, Upscaler
from prosr.jobs.batch import Job, Outcome, attempt, check_place, is_done
from prosr.video.clips import Clip, making_of, open_clip
from prosr.video.enlarging import check_target, enlarge_clip, frame_memory

_LEAST = 100_000_000
"""Bytes that tiles need at least."""

_CUT_OFF = 1.0
"""Seconds that a clip may be shorter than it says."""


def reserve(jobs: Sequence[Job], scale: int, max_memory: int) -> tuple[list[Job], int]:
    """Refuse clips whose frames do not fit, and give the bytes that those of the others take."""
    checked, most = [], 0
    for job in jobs:
        try:
            held = 0 if job.refusal else frame_memory(open_clip(job.source), scale)
        except ImageError as error:
            job, held = replace(job, refusal=str(error)), 0
        if held + RESERVED + _LEAST > max_memory:
            why = (
                f"{shown(job.source)}: its enlarged frames need a memory limit of "
                f"{math.ceil((held + RESERVED + _LEAST) / 1e6)} MB; allow it, or enlarge less"
            )
            job, held = replace(job, refusal=why), 0
        checked.append(job)
        most = max(most, held)
    return checked, most


def run_clips(
    upscaler: Upscaler,
    jobs: Sequence[Job],
    scale: int,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    starting: Callable[[Job], Progress | None] = lambda job: None,
) -> Iterator[Outcome]:
    """As `prosr.jobs.batch.run_jobs`, for clips; progress counts frames."""
    mark = upscaler.mark(scale)

    def enlarge(samples: NDArray[Any]) -> NDArray[Any]:
        return upscaler.upscale(samples, scale)

    def do(job: Job) -> Outcome:
        clip = open_clip(job.source)
        check_place(job)
        there = job.target.exists() and not overwrite
        if there and is_done(job, making_of(job.target), mark):
            return Outcome(job, "skipped", "done already")
        check_target(clip, job.target, scale)
        if dry_run:
            return Outcome(job, "planned", estimate=_estimate(clip, scale, enlarge, upscaler))
        progress = starting(job) or (lambda done, total: None)
        making = Making(mark, origin_of(job.source))
        end = enlarge_clip(clip, job.target, scale, enlarge, making, progress)
        reasons = ["made anew: the clip has changed"] if there else []
        if clip.seconds - end > _CUT_OFF:
            reasons.append(f"ends at {end:.1f} of {clip.seconds:.1f} s: the clip seems cut off")
        return Outcome(job, "made", "; ".join(reasons))

    return attempt(jobs, do)


def _estimate(
    clip: Clip, scale: int, enlarge: Callable[[NDArray[Any]], NDArray[Any]], upscaler: Upscaler
) -> Estimate:
    """From the clip's second frame: what happens once happens at the first."""
    seconds = 0.0
    for number, frame in enumerate(clip.read(0)):
        start = perf_counter()
        enlarge(frame.samples)
        seconds = perf_counter() - start
        if number:
            break
    size = scale * clip.width, scale * clip.height
    memory = upscaler.memory((clip.height, clip.width), scale) + frame_memory(clip, scale)
    return Estimate(*size, clip.frames, clip.frames * seconds, memory, "frame")
