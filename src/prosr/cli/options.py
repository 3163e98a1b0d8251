"""Options that several verbs share, and lists as their values: `--scale 2 4 8`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from prosr.errors import ConfigError

# fmt: off
EngineOption = Annotated[str, typer.Option("--engine", metavar="NAME", help="What runs the network: auto, openvino, onnx or torch.")]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a model, or a .safetensors file.")]
Sets = Annotated[list[Path], typer.Option("--set", metavar="DIR...", help="Folders of test pictures.")]
Scales = Annotated[list[int] | None, typer.Option("--scale", metavar="2|4|8...", help="Scales (default: all of the model).")]
Scale = Annotated[int, typer.Option("--scale", "-s", metavar="2|4|8", help="Factor to enlarge by.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", metavar="", help="Replace the output if it exists.")]
Rounds = Annotated[int, typer.Option(min=1, help="Number of rounds; each measures every subject once.")]
RowsFile = Annotated[Path | None, typer.Option(metavar="FILE.json", help="Append the rows to this file, and write a Markdown table beside it.")]
EnsembleOption = Annotated[bool, typer.Option("--ensemble", metavar="", help="Average over 8 flips and rotations: slightly better, 8 times slower.")]
Data = Annotated[list[Path], typer.Option(metavar="DIR...", help="Folders of training pictures, searched recursively.")]
Strength = Annotated[float, typer.Option(metavar="0…1", help="How much texture a GAN such as progansr-xs invents, from 0 to 1.")]
MaxMinutes = Annotated[float | None, typer.Option(min=0, metavar="MINUTES", help="Save and stop after this time; the same command resumes.")]
Workers = Annotated[int, typer.Option(min=0, metavar="N", help="Processes that prepare batches.")]
# fmt: on


def check_output(path: Path, suffix: str, overwrite: bool) -> None:
    """Raise `ConfigError` for another suffix, and for a file that exists without `overwrite`."""
    if path.suffix != suffix:
        raise ConfigError(f"{path}: the output's name must end in {suffix}")
    if path.exists() and not overwrite:
        raise ConfigError(f"{path}: exists already; replace it with --overwrite")


class ListCommand(TyperCommand):
    """A command whose options take several values if their metavar ends with "..."."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        lists = {
            name
            for option in self.params
            if (option.metavar or "").endswith("...")
            for name in option.opts
        }
        return super().parse_args(ctx, expand_lists(args, lists))


def expand_lists(args: Sequence[str], lists: Collection[str]) -> list[str]:
    """Rewrite `--scale 2 4 8` as `--scale 2 --scale 4 --scale 8`, for the options `lists`.

    The words after such an option are its values, up to the next word that begins with "-" (a
    lone "-" is a value). Other arguments, such as MODEL, stand before the option, after another
    option's value, or after "--". An option may be repeated, and `--scale=2` is one value.
    """
    expanded: list[str] = []
    option = ""
    for index, word in enumerate(args):
        if word == "--":
            return expanded + list(args[index:])
        if word.startswith("-") and word != "-":
            option = word if word in lists else ""
            expanded.append(word)
        elif option and expanded[-1] != option:
            expanded += [option, word]
        else:
            expanded.append(word)
    return expanded
