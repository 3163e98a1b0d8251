"""`prosr upscale`: files, folders and patterns, enlarged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from prosr.cli.options import EngineOption, EnsembleOption, Strength
from prosr.cli.signals import import_torch, signals_wait

if TYPE_CHECKING:
    from prosr.cli.enlarging import BatchDisplay
    from prosr.inference.upscaler import Work

# fmt: off
Paths = Annotated[list[str], typer.Argument(metavar="PATH", help="Pictures, folders, patterns such as '*.jpg', or clips.")]
Scale = Annotated[int, typer.Option("--scale", "-s", metavar="2|4|8", help="How many times larger.")]
Model = Annotated[str, typer.Option("--model", "-m", metavar="NAME|FILE", help="Model name, GANs also as NAME@0.7, or .safetensors file.")]
Output = Annotated[str | None, typer.Option("--output", "-o", metavar="FILE|DIR", help="Where to (default: NAME_x4.EXT or DIR_x4 beside it).")]
FileFormat = Annotated[str | None, typer.Option("--format", metavar="NAME", help="jpeg, png, webp, tiff or avif; else kept.")]
MaxMemory = Annotated[str, typer.Option(metavar="SIZE", help="Limit for the whole process, from 512M.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", metavar="", help="Replace results that are there already.")]
DryRun = Annotated[bool, typer.Option("--dry-run", metavar="", help="Say what it would take, and write nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Say nothing but what went wrong.")]
# fmt: on


def upscale(
    paths: Paths,
    scale: Scale = 4,
    model: Model = "prosr-xs",
    output: Output = None,
    file_format: FileFormat = None,
    max_memory: MaxMemory = "2G",
    engine: EngineOption = "auto",
    ensemble: EnsembleOption = False,
    strength: Strength = 1.0,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Enlarge pictures 2, 4 or 8 times.

    Transparency, gray, 16 bits, ICC profile, EXIF and XMP are kept; results of earlier
    runs are not made again.

    Example: prosr upscale photo.jpg holiday/ --scale 4
    """
    import_torch()
    import prosr
    from prosr.cli.enlarging import BatchDisplay
    from prosr.errors import ConfigError, ImageError
    from prosr.images import find_format
    from prosr.inference.memory import parse_size
    from prosr.jobs.batch import find_jobs, run_jobs
    from prosr.scales import check_scale
    from prosr.video.requests import find_clips

    check_scale(scale)
    _refuse_empty(path=paths, model=[model], output=[output], format=[file_format])
    limit = parse_size(max_memory)
    clips, others = find_clips(paths, scale, output)
    kind = find_format(file_format) if file_format else None
    jobs = find_jobs(others, scale, output, kind) if others else []
    if kind and clips and not jobs:
        raise ConfigError("--format is for pictures; a clip becomes what its output's suffix says")
    jobs += [job for job in clips if job.refusal]
    clips = [job for job in clips if not job.refusal]
    held = 0
    if clips:
        from prosr.video.running import reserve, run_clips

        clips, held = reserve(clips, scale, limit)
    if all(job.refusal for job in jobs + clips):
        refusals = [job.refusal for job in jobs + clips]
        raise ImageError((refusals or ["nothing to enlarge but results of earlier runs"])[0])
    with signals_wait():
        upscaler = prosr.load(
            model, max_memory=limit - held, engine=engine, ensemble=ensemble, strength=strength
        )
    with BatchDisplay(len(jobs + clips), quiet=quiet) as display:
        runs = ((run_jobs, jobs), (run_clips, clips)) if clips else ((run_jobs, jobs),)
        orders = {"overwrite": overwrite, "dry_run": dry_run}
        for run, some in runs:
            for outcome in run(upscaler, some, scale, starting=display.starting, **orders):
                display.done(outcome)
    _close(display, upscaler.work)


def _refuse_empty(**given: Sequence[str | None]) -> None:
    """A shell's unset variable must not stand for the present folder."""
    from prosr.errors import ConfigError

    for what, words in given.items():
        if "" in words:
            raise ConfigError(f"the {what} is empty; it has to name something")


def _close(display: BatchDisplay, work: Work) -> None:
    """Say what became of all: the failure of an only picture is the command's."""
    import os

    from prosr.errors import ImageError

    failed = [outcome for outcome in display.outcomes if outcome.kind == "failed"]
    if failed and len(display.outcomes) == 1:
        raise failed[0].error or ImageError(failed[0].reason)
    if os.environ.get("PROSR_DEBUG"):
        for error in filter(None, (outcome.error for outcome in failed)):
            raise error
    display.close(work)
    if failed:
        raise typer.Exit(1)
