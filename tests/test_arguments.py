"""Lists on the command line mean the same as repeated options."""

from __future__ import annotations

import pytest

from prosr.cli.arguments import expand_lists


@pytest.mark.parametrize(
    ("line", "expanded"),
    [
        ("evaluate m --scale 2 4 8", "evaluate m --scale 2 --scale 4 --scale 8"),
        ("evaluate m n --set a b --scale 2", "evaluate m n --set a --set b --scale 2"),
        ("evaluate m --scale 2 --scale 4", "evaluate m --scale 2 --scale 4"),
        ("evaluate --set a b --output f m", "evaluate --set a --set b --output f m"),
        ("evaluate --set a b -- m", "evaluate --set a --set b -- m"),
        ("evaluate m -- --scale 2 4", "evaluate m -- --scale 2 4"),
        ("evaluate --scale=2 m", "evaluate --scale=2 m"),
        ("evaluate m --set - b", "evaluate m --set - --set b"),
        ("evaluate m --scale --set a", "evaluate m --scale --set a"),
        ("train r.toml --data a b --run c", "train r.toml --data a --data b --run c"),
        ("bench models --models a b", "bench models --models a --models b"),
        ("--debug train r.toml --data a b", "--debug train r.toml --data a --data b"),
        ("upscale --scale 4 a b", "upscale --scale 4 a b"),
        ("--help", "--help"),
        ("", ""),
    ],
)
def test_words_after_a_list_option_are_its_values(line: str, expanded: str) -> None:
    assert expand_lists(line.split()) == expanded.split()
