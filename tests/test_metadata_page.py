"""The tables of docs/metadata.md are what happens."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def test_the_tables_say_what_becomes_of_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    import make_metadata

    assert make_metadata.page() == make_metadata.PAGE.read_text(encoding="utf-8")
    sys.modules.pop("make_metadata")
