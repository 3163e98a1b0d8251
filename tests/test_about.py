"""`prosr --version` and `prosr help`."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from prosr.cli import app
from prosr.models import find_weights
from prosr.version import __version__

RUNNER = CliRunner()


def test_the_version_is_one_line() -> None:
    assert RUNNER.invoke(app, ["--version"]).output == f"prosr {__version__}\n"


@pytest.mark.parametrize("order", [["--version", "--verbose"], ["--verbose", "--version"]])
def test_a_verbose_version_states_libraries_weights_and_commit(order: list[str]) -> None:
    lines = RUNNER.invoke(app, order).output.splitlines()
    facts = {name: " ".join(rest) for name, *rest in map(str.split, lines)}
    assert lines[0] == f"prosr {__version__}"
    assert facts["prosr-xs"] == find_weights("prosr-xs").sha256
    assert {"commit", "python", "processor", "openvino", "pyvips", "torch", "cache"} <= set(facts)


@pytest.mark.parametrize("words", [[], ["upscale"], ["bench", "engines"]])
def test_help_shows_what_the_option_shows(words: list[str]) -> None:
    asked = RUNNER.invoke(app, ["help", *words])
    assert asked.exit_code == 0
    assert asked.output == RUNNER.invoke(app, [*words, "--help"], prog_name="prosr").output


def test_help_for_an_unknown_command_is_a_usage_error() -> None:
    assert RUNNER.invoke(app, ["help", "enlarge"]).exit_code == 2
