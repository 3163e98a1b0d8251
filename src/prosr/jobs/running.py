"""Runs all jobs: a failed job does not stop the others, and each job has an outcome."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from prosr.errors import ImageError, ProSRError
from prosr.files import TargetExistsError
from prosr.images.loading import shown
from prosr.inference.estimates import Estimate
from prosr.inference.pictures import check_target
from prosr.inference.upscaler import Progress, Upscaler
from prosr.jobs.requests import Job, place, refused
from prosr.jobs.results import is_done
from prosr.sizes import Request


@dataclass(frozen=True)
class Outcome:
    """Outcome of a job.

    `notes` are one line each about what the result lacks, or what may be wrong in it. `choice` is
    the network that "auto" took, and why; `estimate` is for a planned job, `error` a bug of prosr.
    """

    job: Job
    status: Literal["made", "planned", "skipped", "failed"]
    reason: str = ""
    notes: tuple[str, ...] = ()
    choice: str = ""
    estimate: Estimate | None = None
    error: Exception | None = field(default=None, compare=False)


def fit(jobs: Sequence[Job], scale: Request | float, max_memory: int) -> tuple[list[Job], int]:
    """Refuse jobs that do not fit into `max_memory` bytes.

    Returns all jobs and the bytes that are left for the upscaler. Raises `ImageError` with
    the first refusal if all jobs are refused.
    """
    checked, most = [], 0
    for job in jobs:
        if job.kind == "clip" and not job.refusal:
            from prosr.video.enlarging import reserve

            try:
                most = max(most, reserve(job.source, scale, max_memory))
            except ImageError as error:
                job = replace(job, refusal=str(error))
        checked.append(job)
    if all(job.refusal for job in checked):
        raise ImageError(checked[0].refusal)
    return checked, max_memory - most


def run(
    upscaler: Upscaler,
    jobs: Sequence[Job],
    scale: Request | float,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    starting: Callable[[Job], Progress | None] = lambda job: None,
) -> Iterator[Outcome]:
    """Do one job after another and yield the outcome of each.

    `starting` is called before a file is enlarged; it returns a callback for the number of finished
    tiles or frames. An existing target is skipped if this upscaler made it from a file with the
    same content. It is replaced if that file has changed, or with `overwrite`; otherwise the job
    fails. With `dry_run` nothing is written, and such jobs are "planned".
    """

    def do(job: Job) -> Outcome:
        if job.refusal:
            raise ImageError(job.refusal)
        check_target(job.source, job.target)
        one, choice = upscaler.suited(job.source)
        mark = one.mark(scale)
        there = os.path.lexists(job.target) and not overwrite
        if there and is_done(job.source, job.target, mark, scale):
            return Outcome(job, "skipped", "done already")
        progress = starting(job)
        if dry_run:
            return Outcome(job, "planned", choice=choice, estimate=_estimate(one, job, scale))
        try:
            notes = _enlarge(one, job, scale, overwrite or there, progress)
        except TargetExistsError:
            if is_done(job.source, job.target, mark, scale):
                return Outcome(job, "skipped", "another process has made it")
            raise
        changed = f"replaced: the {job.kind} has changed" if there else ""
        return Outcome(job, "made", changed, tuple(notes), choice)

    # A result's name belongs to the first job that makes it, so a failed one takes no name.
    owners: dict[Path, Job] = {}
    for job in jobs:
        owner = owners.get(place(job.target))
        if owner and not job.refusal:
            job = refused(job, f"that of {shown(owner.source)}")
        outcome = _outcome(job, do)
        if outcome.status != "failed":
            owners[place(job.target)] = job
        yield outcome


def _outcome(job: Job, do: Callable[[Job], Outcome]) -> Outcome:
    new_folders: list[Path] = []
    try:
        new_folders += [folder for folder in job.target.parents if not folder.exists()]
        return do(job)
    except ProSRError as error:
        return Outcome(job, "failed", str(error))
    except OSError as error:
        reason = f"{shown(job.target)}: {error.strerror or error}; give another output"
        return Outcome(job, "failed", reason)
    # Even a bug of prosr must not stop the other jobs. The outcome contains it.
    except Exception as error:
        summary = " ".join(f"{type(error).__name__}: {error}".split())
        reason = f"{shown(job.source)}: unexpected {summary}"
        return Outcome(job, "failed", reason, error=error)
    finally:
        for folder in new_folders:
            # Only empty folders, those of a failed job, can be removed.
            with suppress(OSError):
                folder.rmdir()


def _estimate(upscaler: Upscaler, job: Job, scale: Request | float) -> Estimate:
    if job.kind == "picture":
        return upscaler.estimate(job.source, scale, output=job.target, overwrite=True)
    from prosr.video.enlarging import estimate

    return estimate(upscaler, job.source, job.target, scale)


def _enlarge(
    upscaler: Upscaler, job: Job, scale: Request | float, over: bool, progress: Progress | None
) -> list[str]:
    """Write the target, or replace it if `over`; return the notes of the outcome."""
    source, target, notes = job.source, job.target, list[str]()
    if job.kind == "picture":
        more = partial(upscaler.upscale, progress=progress, note=notes.append)
        more(source, scale, output=target, overwrite=over)
        return notes
    from prosr.video.enlarging import enlarge

    return enlarge(upscaler, source, target, scale, progress, over)
