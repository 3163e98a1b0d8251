"""The container and the systemd unit start the service with options that it has."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from test_docs import parse

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_the_container_and_compose_start_the_service() -> None:
    entry = re.search(r"^ENTRYPOINT (.*)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    command = re.search(r"command: (.*)$", (DEPLOY / "compose.yaml").read_text(), re.MULTILINE)
    assert entry is not None and command is not None
    words: list[str] = [*json.loads(entry[1]), *json.loads(command[1])]
    assert words[0] == "prosr"
    parse(tuple(words[1:]))


def test_the_unit_starts_the_service() -> None:
    start = re.search(r"^ExecStart=(.*)$", (DEPLOY / "prosr.service").read_text(), re.MULTILINE)
    assert start
    words = shlex.split(start[1])
    assert words[0].endswith("/bin/prosr")
    parse(tuple(words[1:]))


def test_the_build_copies_what_the_context_has() -> None:
    lines = (DEPLOY.parent / ".dockerignore").read_text().splitlines()
    context = {line.removeprefix("!") for line in lines if line.startswith("!")}
    text = (DEPLOY / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE)
    assert {name for line in copied for name in line.split()} == context
