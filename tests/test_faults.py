"""The tests that docs/faults.md names exist, two or more for each kind of fault."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_each_kind_of_fault_has_its_tests() -> None:
    page = (TESTS.parent / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)\. .* \| (.*) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    code = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.glob("test_*.py"))
    existing = set(re.findall(r"^def (test_\w+)", code, re.MULTILINE))
    for number, cell in rows:
        named = re.findall(r"`(test_\w+)`", cell)
        assert len(named) >= 2 and not set(named) - existing, number
