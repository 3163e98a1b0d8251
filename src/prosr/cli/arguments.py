"""Lists on the command line, which typer does not read by itself: `--scale 2 4 8`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from typer.core import TyperCommand


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
