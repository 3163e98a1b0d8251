"""The table of docs/clips.md is what happens."""

from __future__ import annotations

import make_clips
import pytest


def test_the_table_says_what_becomes_of_what() -> None:
    assert make_clips.TABLE.search(make_clips.PAGE.read_text(encoding="utf-8"))
    assert make_clips.page() == make_clips.PAGE.read_text(encoding="utf-8")
    with pytest.raises(AssertionError, match="kept became None without a note"):
        make_clips.cell("kept", None, "")
