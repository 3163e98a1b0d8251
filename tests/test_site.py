"""The pages of the documentation site."""

from __future__ import annotations

import re
from pathlib import Path

import make_site
import pytest
from typer.main import get_command

from prosr.cli import app
from prosr.config import Recipe
from prosr.data.pipelines import Degradation

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "pages"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_site, "PAGES", folder)
        make_site.main()
    return folder


def test_each_entry_of_the_menu_is_a_page(pages: Path) -> None:
    menu = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert len(menu) > 10
    assert not [page for page in menu if not (pages / page).is_file()]


def test_each_document_is_in_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text()
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "src" / "prosr" / "weights").glob("*.md")]
    assert not [path.name for path in pages if f"{path.name}\n" not in menu]


def test_links_lead_to_pages_and_copies(pages: Path) -> None:
    broken = [
        f"{page.name}: {found[2]}"
        for page in pages.glob("*.md")
        for found in make_site.LINK.finditer(page.read_text(encoding="utf-8"))
        if not (page.parent / found[2]).exists()
    ]
    assert not broken


def test_links_to_sections_lead_to_headings(pages: Path) -> None:
    anchors = {page: sections(page) for page in pages.rglob("*.md")}
    broken = [
        f"{page.name}: {target}#{section}"
        for page in anchors
        for target, section in SECTION.findall(page.read_text(encoding="utf-8"))
        if section not in anchors[page if not target else (page.parent / target).resolve()]
    ]
    assert not broken


SECTION = re.compile(r"\]\((?!https?:)([^)\s#]*\.md|)#([^)\s]+)\)")


def sections(page: Path) -> set[str]:
    """The anchors that a browser finds on a page."""
    prose = re.sub("^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    headings = re.findall("^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", line).strip().lower().replace(" ", "-") for line in headings}


def test_a_link_to_nothing_ends_the_build(tmp_path: Path) -> None:
    page = ROOT / "docs" / "page.md"
    with pytest.raises(SystemExit, match=r"links to lost\.md, which does not exist"):
        make_site.linked(written(tmp_path / "page.md", "[a](lost.md)"), Path(page.name), {})


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_reference_has_all_commands_and_all_keys_of_recipes(pages: Path) -> None:
    commands = (pages / "commands.md").read_text(encoding="utf-8")
    names = getattr(get_command(app), "commands", {})
    assert names.keys() >= {"upscale", "train"}
    assert all(f"## prosr {name}" in commands for name in names)
    recipes = (pages / "recipes.md").read_text(encoding="utf-8")
    keys = {*Recipe.model_fields, *Degradation.model_fields}
    assert all(f"| `{key}` |" in recipes for key in keys)
