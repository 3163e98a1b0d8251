"""Which requests are clips, and what they become; known by their names alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from prosr.errors import ConfigError
from prosr.images import is_picture, shown
from prosr.jobs.batch import (
    Job,
    found_job,
    matching,
    walk,
    without_collisions,
    without_results,
)

_HOLDING_H264 = (".mp4", ".m4v", ".mov", ".mkv")
_SUFFIXES = (*_HOLDING_H264, ".webm", ".avi")

_NEEDS = "clips need av; install it with: pip install 'prosr[video]'"


def find_clips(
    requests: Sequence[str], scale: int, output: str | None = None
) -> tuple[list[Job], list[str]]:
    """The jobs that are clips, and the paths of the requests that are not.

    A clip gives "clip_x2.mp4" beside it, or in the folder `output`, or `output` itself if
    that has a clip's suffix; those below a folder go where its pictures go, and a folder of
    clips alone is none of the others. Raises `ConfigError` where `output` cannot be meant.
    """
    paths = [path for request in requests for path in matching(request, _is_wanted)]
    clips = list(filter(_is_clip, paths))
    jobs = [_job(clip, scale, output, alone=len(paths) == 1) for clip in clips]
    others = [str(path) for path in paths if not _is_clip(path)]
    folders = [request for request in others if os.path.isdir(request)]
    for folder in folders:
        files = dict(walk(Path(folder), scale, Path(output) if output else None, len(folders) > 1))
        found = {path: target for path, target in files.items() if _is_clip(path)}
        jobs += [Job(path, target.with_suffix(_suffix(path))) for path, target in found.items()]
        if found and not any(found_job(path, target) for path, target in files.items()):
            others.remove(folder)
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(os.path.abspath(job.source), job)
    jobs = list(first.values())
    if find_spec("av") is None:
        jobs = [replace(job, refusal=f"{shown(job.source)}: {_NEEDS}") for job in jobs]
    else:
        from prosr.video.clips import making_of

        jobs = without_results(jobs, making_of)
    return without_collisions(jobs), others


def clip_path(path: Path, scale: int) -> Path:
    """Where a clip's enlargement goes unless asked: "clip_x2.mp4" beside it.

    What H.264 does not belong in (WebM, AVI) becomes Matroska.
    """
    return path.with_name(f"{path.stem}_x{scale}{_suffix(path)}")


def _suffix(path: Path) -> str:
    return path.suffix if path.suffix.lower() in _HOLDING_H264 else ".mkv"


def _is_clip(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES and not path.is_dir()


def _is_wanted(path: Path) -> bool:
    return _is_clip(path) or is_picture(path)


def _job(clip: Path, scale: int, output: str | None, alone: bool) -> Job:
    target = clip_path(clip, scale)
    if output is not None:
        path = Path(output)
        if path.is_dir() or output.endswith(("/", os.sep)) or not path.suffix:
            target = path / target.name
        elif alone and path.suffix.lower() in _HOLDING_H264:
            target = path
        else:
            raise ConfigError(
                f"{shown(path)}: give a folder, or for a single clip a name with one of "
                + ", ".join(_HOLDING_H264)
            )
    return Job(clip, target, "" if clip.exists() else f"{shown(clip)}: no such file")
