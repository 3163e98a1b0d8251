"""The table of docs/clips.md is what happens."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def test_the_table_says_what_becomes_of_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import make_clips

    assert make_clips.TABLE.search(make_clips.PAGE.read_text(encoding="utf-8"))
    assert make_clips.page() == make_clips.PAGE.read_text(encoding="utf-8")
    with pytest.raises(AssertionError, match="kept became None without a note"):
        make_clips.cell("kept", None, "")
    sys.modules.pop("make_clips")
