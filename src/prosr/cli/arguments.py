"""Lists on the command line, which neither click nor typer reads: `--scale 2 4 8`."""

from __future__ import annotations

from collections.abc import Sequence

LIST_OPTIONS: dict[str, frozenset[str]] = {
    "evaluate": frozenset({"--set", "--scale", "--also"}),
    "quantize": frozenset({"--data", "--scale"}),
    "train": frozenset({"--data"}),
    "ablate": frozenset({"--data", "--set"}),
    "compare": frozenset({"--data", "--set", "--beside"}),
    "info": frozenset({"--results"}),
    "bench": frozenset({"--models", "--size", "--scale", "--engine"}),
}
"""For each verb, the options that take several values; typer declares them as lists."""


def expand_lists(argv: Sequence[str]) -> list[str]:
    """Rewrite `--scale 2 4 8` as `--scale 2 --scale 4 --scale 8`, for the verb's list options.

    The rule: the words after a list option are its values, up to the next word that
    begins with "-" (a lone "-" counts as a value). So whatever is no value of a list,
    such as MODEL…, stands before it, after another option's value, or after "--", which
    also ends the rewriting. Repeating the option works too, and `--scale=2` is one value.
    The verb is the first word that does not begin with "-"; `argv` is without the
    program's name. An option without any value is left for the parser to complain about.
    """
    verb = next((word for word in argv if not word.startswith("-")), "")
    options = LIST_OPTIONS.get(verb, frozenset())
    expanded: list[str] = []
    option = ""
    for index, word in enumerate(argv):
        if word == "--":
            return expanded + list(argv[index:])
        if word.startswith("-") and word != "-":
            option = word if word in options else ""
            expanded.append(word)
        elif option and expanded[-1] != option:
            expanded += [option, word]
        else:
            expanded.append(word)
    return expanded
