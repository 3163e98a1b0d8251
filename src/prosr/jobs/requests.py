"""Expands files, folders and patterns to jobs: one for each picture and each clip."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from prosr.errors import ConfigError
from prosr.images.formats import UNREAD_SUFFIXES, Format, find_format, is_picture, is_writable
from prosr.images.loading import shown
from prosr.inference.pictures import result_suffix
from prosr.jobs.results import results_among
from prosr.sizes import Request, requested
from prosr.video import OUTPUT_SUFFIXES, clip_suffix, is_clip
from prosr.walking import files_below


@dataclass(frozen=True)
class Job:
    """A file and the path of its result; `refusal` is the reason why it cannot be enlarged."""

    source: Path
    target: Path
    refusal: str = ""

    @property
    def kind(self) -> Literal["picture", "clip"]:
        return "clip" if is_clip(self.source) else "picture"


def find(
    requests: Sequence[str],
    scale: Request | float,
    output: str | None = None,
    file_format: Format | None = None,
) -> list[Job]:
    """Jobs for all pictures and clips in files, folders and patterns such as "*.jpg".

    - The result of a file is "photo_x4.jpg" beside it, or in the folder `output`. If the file
      is the only request and `output` has a suffix, `output` is the result itself.
    - The results of a folder copy its tree, linked folders included, to "folder_x4" beside it,
      or to `output`. Several folders become folders of their own names in `output`. Hidden files
      are skipped.
    - Results of earlier runs are skipped if their sources are among the jobs.

    `file_format` is the format of all pictures' results; by default they keep their own. A job is
    refused if its file does not exist or cannot be read, if its result would replace the source of
    another job, and, for clips, if PyAV is not installed. Raises `ConfigError` if
    `scale`, `output` or `file_format` does not fit the requests or if there is nothing to enlarge,
    and `ImageError` if no format has the suffix of `output`.
    """
    label = requested(scale).label
    paths = [path for request in requests for path in _matches(request)]
    folders = [path for path in paths if path.is_dir()]
    into = _output_folder(paths, output)
    jobs: dict[Path, Job] = {}
    for path in paths:
        if path in folders:
            found = list(_folder_jobs(path, label, into, file_format, len(folders) > 1))
        else:
            target = _target(path, label, output, into, file_format)
            found = [_job(path, target, "" if path.exists() else "no such file; check its name")]
        for job in found:
            jobs.setdefault(place(job.source), job)
    if not jobs:
        names = ", ".join(map(shown, paths))
        raise ConfigError(f"{names}: no pictures or clips in it; name files or another folder")
    if file_format and all(job.kind == "clip" for job in jobs.values()):
        raise ConfigError(
            f"the format {file_format.name} is for pictures; "
            f"the output of a clip ends in {', '.join(OUTPUT_SUFFIXES)}"
        )
    results = results_among([job.source for job in jobs.values() if not job.refusal])
    return _sparing_sources([job for job in jobs.values() if job.source not in results])


def _matches(request: str) -> list[Path]:
    """The pictures, clips and folders that match a pattern; otherwise the request as a path."""
    path = Path(request)
    if not os.path.lexists(path) and glob.has_magic(request):
        found = map(Path, sorted(glob.glob(request, recursive=True), key=len, reverse=True))
        # Links in circles give a file many names; the shortest one counts.
        matches = sorted({(m.parent.resolve(), m.name): m for m in found}.values())
        return [m for m in matches if m.is_dir() or is_picture(m) or is_clip(m)] or [path]
    return [path]


def _output_folder(paths: Sequence[Path], output: str | None) -> Path | None:
    """The folder that `output` names, or None if it names a file or is None."""
    if output is None:
        return None
    path = Path(output)
    if path.is_dir() or output.endswith(("/", os.sep)) or not path.suffix:
        return path
    if len(paths) == 1 and not paths[0].is_dir():
        return None
    if is_writable(path.suffix) or is_clip(path):
        raise ConfigError(f"{shown(path)} names one file, not a folder; give a folder as output")
    return path


def _target(
    path: Path, label: str, output: str | None, into: Path | None, file_format: Format | None
) -> Path:
    """The path of a file's result.

    Raises `ConfigError` or `ImageError` if no result of the file can have the suffix of `output`.
    """
    if output is None or into is not None:
        name = f"{path.stem}_{label}{_suffix(path, file_format)}"
        return path.with_name(name) if into is None else into / name
    target = Path(output)
    own = OUTPUT_SUFFIXES if is_clip(path) else (file_format or find_format(target.suffix)).suffixes
    if target.suffix.lower() not in own:
        raise ConfigError(
            f"{shown(target)}: its name must end in {', '.join(own)}; or give a folder"
        )
    return target


def _suffix(path: Path, file_format: Format | None) -> str:
    return clip_suffix(path) if is_clip(path) else result_suffix(path, file_format)


def _job(path: Path, target: Path, trouble: str = "") -> Job:
    if not trouble and is_clip(path) and find_spec("av") is None:
        trouble = "clips need av; install it with: pip install 'prosr[video]'"
    return Job(path, target, trouble and f"{shown(path)}: {trouble}")


def _folder_jobs(
    folder: Path, label: str, into: Path | None, file_format: Format | None, several: bool
) -> Iterator[Job]:
    """Jobs for the files in a folder, and refused jobs for files that cannot be read."""
    root = folder.resolve()
    if into is None:
        beside = root if folder.name in ("", "..") else folder
        into = beside.with_name(f"{beside.name}_{label}")
    elif several:
        into = into / root.name
    if into.resolve() == root:
        raise ConfigError(f"{shown(folder)}: results would go into itself; give another output")
    for path in files_below(folder, into):
        target = into / path.relative_to(folder)
        if is_picture(path) or is_clip(path):
            yield _job(path, target.with_suffix(_suffix(path, file_format)))
        elif path.is_dir():
            yield _job(path, target, "this folder cannot be read; change its permissions")
        elif path.suffix.lower() in UNREAD_SUFFIXES:
            yield _job(path, target, "this format is not supported; make it a PNG first")


def _sparing_sources(jobs: list[Job]) -> list[Job]:
    """Refuse jobs whose result would replace the source of another one."""
    sources = {place(job.source): job.source for job in jobs}
    checked = []
    for job in jobs:
        other = sources.get(place(job.target), job.source)
        checked.append(job if other == job.source or job.refusal else refused(job, shown(other)))
    return checked


def refused(job: Job, other: str) -> Job:
    """The job, refused because its result would replace `other`."""
    why = f"its result would replace {other}; give it another output"
    return replace(job, refusal=f"{shown(job.source)}: {why}")


def place(path: Path) -> Path:
    """The absolute path, with which links are told apart."""
    return Path(os.path.abspath(path))
