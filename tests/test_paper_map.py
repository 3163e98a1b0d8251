"""docs/paper.md is true: every home imports, every test exists, no equation is forgotten."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EQUATIONS = range(1, 9)
ROW = re.compile(
    r"\| (?P<what>.+) \| `(?P<home>prosr\.[\w.]+)` \| `(?P<file>\w+\.py)::(?P<test>\w+)` \|"
)


def rows() -> list[re.Match[str]]:
    lines = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8").splitlines()
    table = lines[lines.index("|---|---|---|") + 1 :]
    matches = [ROW.fullmatch(line) for line in table if line.strip()]
    assert all(matches), "a row is not | what | `prosr.home` | `test_file.py::test` |"
    return [match for match in matches if match]


def equations(text: str) -> set[int]:
    """The numbers n of every "Eq. n" in a text."""
    return {int(number) for number in re.findall(r"Eq\. (\d+)", text)}


def resolve(dotted: str) -> object:
    """Import the longest module in a dotted name and follow the rest."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(dotted)


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row["what"]))
def test_the_home_exists(row: re.Match[str]) -> None:
    resolve(row["home"])


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row["what"]))
def test_the_test_exists(row: re.Match[str]) -> None:
    tree = ast.parse((ROOT / "tests" / row["file"]).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert row["test"] in names


def test_every_equation_has_one_home() -> None:
    listed = [number for row in rows() for number in equations(row["what"])]
    assert sorted(listed) == sorted(set(listed))
    assert set(listed) <= set(EQUATIONS)


def test_every_equation_that_the_source_cites_is_listed() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    cited = set().union(*map(equations, texts))
    assert cited
    assert cited <= {number for row in rows() for number in equations(row["what"])}


def test_a_missing_home_is_noticed() -> None:
    with pytest.raises(AttributeError):
        resolve("prosr.resample.no_such_function")
    with pytest.raises(AttributeError):
        resolve("prosr.no_such_module.function")
