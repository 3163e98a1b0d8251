"""Many pictures: which file becomes which, what is done already, and what became of each."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

from prosr.errors import ConfigError, ImageError, ProSRError
from prosr.images import (
    UNREAD_SUFFIXES,
    Format,
    Making,
    Origin,
    find_format,
    is_picture,
    is_writable,
    open_picture,
    origin_of,
    shown,
    unread_origin_of,
)
from prosr.inference.estimates import Estimate
from prosr.inference.upscaler import Progress, Upscaler, result_path, result_suffix

_RESULT = re.compile(r"(.+)_x[248]", re.DOTALL)


@dataclass(frozen=True)
class Job:
    """A picture and where its enlargement goes; `refusal` says why it cannot be done."""

    source: Path
    target: Path
    refusal: str = ""


Kind = Literal["made", "planned", "skipped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of a job; `estimate` says what it will take, of one that is planned.

    `error` is what no picture should have raised: a bug.
    """

    job: Job
    kind: Kind
    reason: str = ""
    estimate: Estimate | None = None
    error: Exception | None = field(default=None, compare=False)


def find_jobs(
    requests: Sequence[str],
    scale: int,
    output: str | None = None,
    file_format: Format | None = None,
) -> list[Job]:
    """What is to be made of files, folders (with all below them) and patterns like "*.jpg".

    - A file gives "photo_x4.jpg" beside it, or in the folder `output`, or `output` itself
      if that has a picture's suffix and the file is the only request.
    - A folder's tree, linked folders included, is copied, names kept, to "folder_x4" beside it
      or to `output`; several folders go to folders of their names in `output`. Hidden files are
      left alone.
    - Results of earlier runs that are named after what they were made of are not enlarged again
      together with it.

    `file_format` asks for another format than their own. A request that matches nothing
    becomes a job with a refusal, and so does a picture whose target is another's or is to be
    enlarged itself. Raises
    `ConfigError` where `output` cannot be meant for these requests, or a folder has no
    picture.
    """
    matches = [match for request in requests for match in matching(request, is_picture)]
    folders = [path for path in matches if path.is_dir()]
    into = _output_folder(matches, folders, output)
    jobs: dict[Path, Job] = {}
    for path in matches:
        found = (
            _folder_jobs(path, scale, into, file_format, len(folders) > 1)
            if path.is_dir()
            else [_file_job(path, scale, output, into, file_format)]
        )
        for job in found:
            jobs.setdefault(_place(job.source), job)
    wanted = without_results(jobs.values(), making_of)
    if not wanted:
        names = ", ".join(shown(folder) for folder in folders or matches)
        raise ConfigError(f"{names}: no pictures in it; name files, or a folder that has some")
    return without_collisions(wanted)


def run_jobs(
    upscaler: Upscaler,
    jobs: Sequence[Job],
    scale: int,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    starting: Callable[[Job], Progress | None] = lambda job: None,
) -> Iterator[Outcome]:
    """Do one job after another and say of each what became of it; none stops the others.

    `starting` is called before a picture is enlarged and may give a `Progress` for it. A
    target that is there is skipped if it was made by this upscaler of a file of this content.
    It is made anew if the file has changed since, or if `overwrite` says so, and refused if it was
    made otherwise or of another file. With `dry_run` nothing is written, and what would be made
    is "planned".
    """

    def do(job: Job) -> Outcome:
        check_place(job)
        there = job.target.exists() and not overwrite
        if there and is_done(job, making_of(job.target), upscaler.mark(scale)):
            return Outcome(job, "skipped", "done already")
        progress = starting(job)
        replace_it = overwrite or there
        if dry_run:
            plan = upscaler.estimate(job.source, scale, output=job.target, overwrite=replace_it)
            return Outcome(job, "planned", estimate=plan)
        upscaler.upscale(
            job.source, scale, output=job.target, overwrite=replace_it, progress=progress
        )
        return Outcome(job, "made", "made anew: the picture has changed" if there else "")

    return attempt(jobs, do)


def attempt(jobs: Sequence[Job], do: Callable[[Job], Outcome]) -> Iterator[Outcome]:
    """What `do` makes of one job after another; what it raises is a failure of that job."""
    for job in jobs:
        try:
            if job.refusal:
                raise ImageError(job.refusal)
            yield do(job)
        except ProSRError as error:
            yield Outcome(job, "failed", str(error))
        except OSError as error:
            reason = f"{shown(job.target)}: {error.strerror or error}; give another output"
            yield Outcome(job, "failed", reason)
        # The pictures after this one are no less wanted for what is wrong with this one,
        # be it a bug of ours; the reason is given with the failure.
        except Exception as error:
            summary = " ".join(f"{type(error).__name__}: {error}".split())
            reason = f"{shown(job.source)}: unexpected {summary}"
            yield Outcome(job, "failed", reason, error=error)


def matching(request: str, wanted: Callable[[Path], bool]) -> list[Path]:
    """The path itself, or if there is none what it matches as a pattern, or it again.

    Of what a pattern matches only folders are taken, and files that are `wanted`.
    """
    path = Path(request)
    if not os.path.lexists(path) and glob.has_magic(request):
        matches = sorted(Path(match) for match in glob.glob(request, recursive=True))
        matches = [match for match in matches if match.is_dir() or wanted(match)]
        return matches or [path]
    return [path]


def _output_folder(matches: list[Path], folders: list[Path], output: str | None) -> Path | None:
    """The folder that `output` names, or None if it names a file or nothing."""
    if output is None:
        return None
    path = Path(output)
    if path.is_dir() or output.endswith(("/", os.sep)) or not path.suffix:
        return path
    if len(matches) > 1 or folders:
        if is_writable(path.suffix):
            raise ConfigError(f"{shown(path)} is one picture's name; give a folder as output")
        return path
    find_format(path.suffix)
    return None


def _file_job(
    path: Path, scale: int, output: str | None, into: Path | None, kind: Format | None
) -> Job:
    target = result_path(path, scale, kind)
    if into is not None:
        target = into / target.name
    elif output is not None:
        target = Path(output)
        if kind is not None and find_format(target.suffix) != kind:
            raise ConfigError(f"{shown(target)} is no {kind.name} file; give one of the two only")
    return Job(path, target, "" if path.exists() else f"{shown(path)}: no such file")


def _folder_jobs(
    folder: Path, scale: int, into: Path | None, kind: Format | None, several: bool
) -> Iterator[Job]:
    for path, target in walk(folder, scale, into, several):
        if job := found_job(path, target, kind):
            yield job


def found_job(path: Path, target: Path, kind: Format | None = None) -> Job | None:
    """What is to be made of something that `walk` found; None of what is no picture."""
    if is_picture(path):
        return Job(path, target.with_suffix(result_suffix(path, kind)))
    if os.path.isdir(path):
        return Job(path, target, f"{shown(path)}: this folder cannot be read; allow it")
    if path.suffix.lower() in UNREAD_SUFFIXES:
        return Job(path, target, f"{shown(path)}: not read in this format; make it a PNG first")
    return None


def walk(folder: Path, scale: int, into: Path | None, several: bool) -> Iterator[tuple[Path, Path]]:
    """All files below a folder that are not hidden, with their places below `into`.

    With them come, at the end, the folders that cannot be read.
    Without `into` that is "folder_x4"; one of `several` folders has its own name in `into`.
    """
    root = folder.resolve()
    if into is None:
        beside = root if folder.name in ("", "..") else folder
        into = beside.with_name(f"{beside.name}_x{scale}")
    elif several:
        into = into / root.name
    if into.resolve() == root:
        raise ConfigError(f"{shown(folder)}: results would go into itself; give another output")
    unread: list[OSError] = []
    for place, below, names in os.walk(folder, followlinks=True, onerror=unread.append):
        # A link to a folder that it is in would lead round and round.
        parents = Path(place, "x").absolute().parents
        around = {into.resolve(), *(parent.resolve() for parent in parents)}
        below[:] = sorted(
            name
            for name in below
            if not name.startswith(".") and Path(place, name).resolve() not in around
        )
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith("."):
                yield path, into / path.relative_to(folder)
    for error in unread:
        path = Path(error.filename)
        yield path, into / path.relative_to(folder)


def without_results(jobs: Iterable[Job], making_of: Callable[[Path], Making]) -> list[Job]:
    """Leave out what an earlier run made of what is among the jobs.

    Results carry a mark, and "_x4" in their path, or else say that they were made of one that is
    called so. Of others the mark is not looked for, which takes opening them.
    """
    jobs = list(jobs)
    named: defaultdict[str, list[Path]] = defaultdict(list)
    for job in jobs:
        named[job.source.stem].append(job.source)
    stems = {_place(job.source).with_suffix("") for job in jobs}

    @cache
    def places(stem: str) -> set[str]:
        return {_origin_of(path, unread_origin_of).place for path in named[stem]}

    @cache
    def contents(stem: str) -> set[str]:
        return {_origin_of(path, origin_of).content for path in named[stem]}

    def is_result(path: Path) -> bool:
        stem = _place(path).with_suffix("")
        for level, part in enumerate(stem.parts):
            if name := _RESULT.fullmatch(part):
                origin = Path(*stem.parts[:level], name[1], *stem.parts[level + 1 :])
                if origin in stems and making_of(path).mark:
                    return True
        enlarged = _RESULT.fullmatch(path.stem)
        names = {path.stem} if len(named[path.stem]) > 1 else set()
        names |= {enlarged[1]} & named.keys() if enlarged else set()
        made_of = making_of(path).origin if names else Origin()
        if not made_of.content:
            return False
        # What lies where it was made of has been put in the place of that.
        return made_of.place != unread_origin_of(path).place and (
            any(made_of.place in places(name) for name in names)
            or any(made_of.content in contents(name) for name in names)
        )

    return [job for job in jobs if not is_result(job.source)]


def without_collisions(jobs: list[Job]) -> list[Job]:
    """Refuse jobs whose result would replace another's, or a picture that is a job itself."""
    sources = {_place(job.source): job.source for job in jobs}
    taken = dict(sources)
    checked = []
    for job in jobs:
        place = _place(job.target)
        other = taken.setdefault(place, job.source)
        if other != job.source:
            what = shown(other) if place in sources else f"that of {shown(other)}"
            why = f"{shown(job.source)}: its result would replace {what}; give it another output"
            job = replace(job, refusal=job.refusal or why)
        checked.append(job)
    return checked


def check_place(job: Job) -> None:
    """Raise `ImageError` if the target is a folder, or the source, whatever it is called."""
    if job.target.is_dir():
        raise ImageError(f"{shown(job.target)}: is a folder; give another output")
    if job.target.exists() and job.target.samefile(job.source):
        raise ImageError(f"{shown(job.target)}: is the input itself; give another output")


def is_done(job: Job, making: Making, mark: str) -> bool:
    """Whether a target that says so of its making is of the source as it is now.

    `ImageError` if it is of another file, or was made otherwise than `mark` says.
    """
    if not os.access(job.target, os.R_OK):
        raise ImageError(f"{shown(job.target)}: cannot be read; allow it, or give another output")
    if making.mark != mark:
        what = f"made by {making.mark}" if making.mark else "not known to be made by prosr"
        raise ImageError(f"{shown(job.target)} exists, {what}; replace it with --overwrite")
    made_of, now = making.origin, unread_origin_of(job.source)
    if made_of[1:] == now[1:] or made_of.content == origin_of(job.source).content:
        return True
    if made_of.place != now.place:
        raise ImageError(
            f"{shown(job.target)} exists, made of another file than {shown(job.source)}; "
            "give another output, or replace it with --overwrite"
        )
    return False


def _place(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _origin_of(path: Path, ask: Callable[[Path], Origin]) -> Origin:
    try:
        return ask(path)
    except ImageError:
        return Origin()


def making_of(path: Path) -> Making:
    """What a picture says of its making; nothing if it cannot be read."""
    try:
        return open_picture(path).making
    except ImageError:
        return Making()
