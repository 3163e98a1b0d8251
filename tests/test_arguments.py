"""Lists on the command line mean the same as repeated options."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer

from prosr.cli.options import ListCommand, expand_lists

LISTS = {"--scale", "--set", "--data"}


@pytest.mark.parametrize(
    ("line", "expanded"),
    [
        ("m --scale 2 4 8", "m --scale 2 --scale 4 --scale 8"),
        ("m n --set a b --scale 2", "m n --set a --set b --scale 2"),
        ("m --scale 2 --scale 4", "m --scale 2 --scale 4"),
        ("--set a b --output f m", "--set a --set b --output f m"),
        ("--set a b -- m", "--set a --set b -- m"),
        ("m -- --scale 2 4", "m -- --scale 2 4"),
        ("--scale=2 m", "--scale=2 m"),
        ("m --set - b", "m --set - --set b"),
        ("m --scale --set a", "m --scale --set a"),
        ("r.toml --data a b --run c", "r.toml --data a --data b --run c"),
        ("--output f a b", "--output f a b"),
        ("--help", "--help"),
        ("", ""),
    ],
)
def test_words_after_a_list_option_are_its_values(line: str, expanded: str) -> None:
    assert expand_lists(line.split(), LISTS) == expanded.split()


def test_options_whose_metavar_ends_with_dots_take_lists() -> None:
    given = []

    def verb(
        scales: Annotated[list[int], typer.Option("--scale", metavar="N...")],
        settings: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE")],
        names: list[str],
    ) -> None:
        given.extend([scales, settings, names])

    app = typer.Typer()
    app.command(cls=ListCommand)(verb)
    app(["--scale", "2", "4", "--set", "a=1", "m"], standalone_mode=False)
    assert given == [[2, 4], ["a=1"], ["m"]]
