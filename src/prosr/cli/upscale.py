"""`prosr upscale`: enlarge files, folders and patterns."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from prosr.cli.options import EngineOption, EnsembleOption, Strength
from prosr.cli.signals import signals_wait
from prosr.cli.sizing import takes_request
from prosr.errors import ConfigError, ImageError

if TYPE_CHECKING:
    from prosr.sizes import Request

# fmt: off
Paths = Annotated[list[str], typer.Argument(metavar="PATH", help="Pictures, clips, folders, or patterns such as '*.jpg'.")]
Model = Annotated[str, typer.Option("--model", "-m", metavar="NAME|FILE", help="Name of a model (of a GAN also NAME@0.7), or a .safetensors file; auto looks at each picture.")]
Output = Annotated[str | None, typer.Option("--output", "-o", metavar="FILE|DIR", help="Result, or folder for results (default: NAME_x4.EXT or DIR_x4, beside each input).")]
FileFormat = Annotated[str | None, typer.Option("--format", metavar="NAME", help="Format of pictures: jpeg, png, webp, tiff or avif (default: that of the input).")]
MaxMemory = Annotated[str | None, typer.Option(metavar="SIZE", help="Memory limit for the process, such as 512M or 2G (default: half of the free memory).")]
Overwrite = Annotated[bool, typer.Option("--overwrite", metavar="", help="Replace existing results.")]
Preview = Annotated[str | None, typer.Option("--preview", metavar="X,Y", help="Write only a sheet of this place: input, bicubic, result.")]
DryRun = Annotated[bool, typer.Option("--dry-run", metavar="", help="Print size, time and memory of each result; write nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print errors only.")]
# fmt: on


@takes_request
def upscale(
    size: Request,
    paths: Paths,
    model: Model = "auto",
    output: Output = None,
    file_format: FileFormat = None,
    max_memory: MaxMemory = None,
    engine: EngineOption = "auto",
    ensemble: EnsembleOption = False,
    strength: Strength = 1.0,
    overwrite: Overwrite = False,
    preview: Preview = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Enlarge pictures and clips by any factor, or to a size.

    Pictures keep transparency, gray, 16 bits, ICC profile, EXIF and XMP. Clips keep frame
    times, sound and subtitles; they need the extra `video`.

    A second run makes only results that are missing or whose source has changed.

    Example: prosr upscale photo.jpg holiday/ --scale 4
    """
    with signals_wait():
        from prosr import jobs, load
        from prosr.cli.display import BatchDisplay
        from prosr.cli.preview import write_sheet
        from prosr.images.formats import find_format
        from prosr.inference.memory import default_memory, parse_size

    # An unset shell variable must not stand for the current folder.
    named = {"model": model, "output": output, "format": file_format}
    for what, word in (*(("path", path) for path in paths), *named.items()):
        if word == "":
            raise ConfigError(f"the {what} is empty; give a value")
    limit = default_memory() if max_memory is None else parse_size(max_memory)
    wanted = find_format(file_format) if file_format else None
    found, memory = jobs.fit(jobs.find(paths, size, output, wanted), size, limit)
    with signals_wait():
        upscaler = load(
            model, max_memory=memory, engine=engine, ensemble=ensemble, strength=strength
        )
    if preview is not None:
        typer.echo(write_sheet(upscaler, found, preview, size, output, overwrite))
        return
    with BatchDisplay(len(found), quiet=quiet) as display:
        for outcome in jobs.run(
            upscaler, found, size, overwrite=overwrite, dry_run=dry_run, starting=display.starting
        ):
            display.done(outcome)
    failed = [outcome for outcome in display.outcomes if outcome.status == "failed"]
    for outcome in failed:
        if outcome.error and (len(found) == 1 or os.environ.get("PROSR_DEBUG")):
            raise outcome.error
        if len(found) == 1:
            raise ImageError(outcome.reason)
    display.close(upscaler.work)
    if failed:
        raise typer.Exit(1)
