"""The tables of docs/metadata.md are what happens."""

from __future__ import annotations

import make_metadata


def test_the_tables_say_what_becomes_of_what() -> None:
    assert make_metadata.page() == make_metadata.PAGE.read_text(encoding="utf-8")
