"""The page that lists each error, and the names by which messages lead to it."""

from __future__ import annotations

import re

import make_errors
from typer.testing import CliRunner

from prosr.cli import app

SAMPLE = """
def f(path, size):
    if size > 3:
        what = "too large" if size < 9 else f"far too large, {size}"
        raise ImageError(f"{path}: {what}; choose a smaller one")
    raise ValueError("not for users of the command line")
"""


def test_the_page_is_what_the_code_says() -> None:
    assert make_errors.PAGE.read_text("utf-8") == make_errors.page(), "run `make docs`"


def test_each_choice_within_a_message_is_listed() -> None:
    texts = [message.text for message in make_errors.of_file("sample.py", SAMPLE)]
    assert sorted(texts) == [
        "‹path›: far too large, ‹size›; choose a smaller one",
        "‹path›: too large; choose a smaller one",
    ]
    assert make_errors.entry(texts[0]).endswith(" → choose a smaller one")


def test_each_class_has_a_section_with_an_entry_and_each_entry_a_remedy() -> None:
    sections = re.split("^## ", make_errors.page(), flags=re.MULTILINE)[1:]
    assert [one.splitlines()[0] for one in sections] == [k.__name__ for k in make_errors.CLASSES]
    for section in sections:
        entries = re.findall("^- (.*)$", section, re.MULTILINE)
        assert entries
        assert "If a line has no remedy" in section or all(" → " in entry for entry in entries)


def test_help_prints_the_page() -> None:
    asked = CliRunner().invoke(app, ["help", "errors"])
    assert asked.exit_code == 0
    assert asked.output.strip() == make_errors.page().strip()
