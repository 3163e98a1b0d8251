"""The documents are true: commands parse, examples run, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import make_cards
import make_difficult
import make_figure as figures
import make_plots
import make_tables
import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

import prosr
from prosr import cli
from prosr.checkpoints.export import export
from prosr.checkpoints.finding import find
from prosr.errors import ConfigError
from prosr.evaluation.results import known_results
from prosr.evaluation.timing import Timing
from prosr.lab.measurements import TimingRow, measured

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LANGUAGES = {"sh", "python", "toml", "text"}
SMALL = {"3840x2160": "38x21", "3000": "30", "60x40cm": "3x2mm", "120,80": "12,8"}
"""What small pictures are enlarged to instead, within 16 times."""


def blocks(language: str) -> list[str]:
    """The contents of every fenced block in this language."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return [block for path in DOCUMENTS for block in fence.findall(path.read_text("utf-8"))]


def commands(program: str) -> list[tuple[str, ...]]:
    """The words of every command in a shell block that calls this program."""
    lines = [line for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    words = [shlex.split(part, comments=True) for line in lines for part in line.split(" && ")]
    found = [tuple(command[1:]) for command in words if command[:1] == [program]]
    return list(dict.fromkeys(found))


def parse(words: tuple[str, ...]) -> None:
    """Hand the words to the real parser, with verbs that do nothing."""
    group: Any = get_command(cli.app)
    verbs = [group]
    while verbs:
        verb = verbs.pop()
        verbs += getattr(verb, "commands", {}).values()
        if verb is not group:
            verb.callback = lambda **_: None
    group.main(args=list(words), prog_name="prosr", standalone_mode=False)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the pictures that the examples speak of, very small."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    (tmp_path / "holiday" / "beach").mkdir(parents=True)
    for name in ("photo.jpg", "holiday/a.jpg", "holiday/beach/b.png", "part.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_difficult_pictures_are_ten_small_jpegs(tmp_path: Path) -> None:
    for path in (paths := make_difficult.save(tmp_path)):
        picture = Image.open(path)
        assert (picture.format, picture.size) == ("JPEG", (128, 128))
        assert np.asarray(picture).std() > 10
    assert len(paths) == 10


def test_every_block_names_a_language_that_is_tested() -> None:
    for path in DOCUMENTS:
        fences = re.findall(r"^```(.*)$", path.read_text("utf-8"), re.MULTILINE)
        assert set(fences[0::2]) <= LANGUAGES, path
        assert set(fences[1::2]) <= {""}, path


@pytest.mark.parametrize("words", commands("prosr"), ids=" ".join)
def test_every_command_parses(words: tuple[str, ...]) -> None:
    parse(words)


def test_every_command_beside_another_programs_parses() -> None:
    text = (ROOT / "docs" / "coming-from.md").read_text("utf-8")
    inline = [shlex.split(words) for words in re.findall(r"`prosr\s([^`]+)`", text)]
    found = [words for words in inline if len(words) > 1 and not any("…" in word for word in words)]
    assert len(found) > 5
    for words in found:
        parse(tuple(words))


def test_a_wrong_command_does_not() -> None:
    with pytest.raises(Exception, match="--enlarge"):
        parse(("upscale", "photo.jpg", "--enlarge", "4"))


@pytest.mark.parametrize("words", commands("prosr"), ids=" ".join)
def test_every_recipe_in_a_command_exists(words: tuple[str, ...]) -> None:
    assert all((ROOT / word).is_file() for word in words if word.endswith(".toml"))


@pytest.mark.parametrize(
    "words",
    [words for words in commands("prosr") if words[0] == "upscale" and "--model" not in words],
    ids=" ".join,
)
def test_every_cheap_command_runs(
    words: tuple[str, ...], desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(desk.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["prosr", *(SMALL.get(word, word) for word in words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    made = [path for path in set(desk.rglob("*")) - before if path.is_file()]
    assert bool(made) == ("--dry-run" not in words)


@pytest.mark.parametrize("code", blocks("python"))
def test_every_python_example_runs(code: str, desk: Path) -> None:
    for module in set(re.findall(r"^import (cv2|spandrel)$", code, re.MULTILINE)):
        pytest.importorskip(module, reason=f"the example is for users of {module}")
    if ".onnx" in code:
        export(find("prosr-xs"), 4, "onnx", "fp32", desk / "prosr-xs_x4.onnx")
    exec(compile(code, "an example in the documents", "exec"), {})


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    prose = "".join(path.read_text("utf-8") for path in DOCUMENTS)
    inline = {(target,) for target in re.findall(r"`make ([a-z-]+)", prose)}
    used = {words[0] for words in {*commands("make"), *inline}}
    assert used
    assert used <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.name))
def test_every_link_leads_to_a_file(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text("utf-8"))
    missing = [link for link in links if ":" not in link and not (path.parent / link).exists()]
    assert not missing


def test_the_documents_show_the_tables_that_the_results_give() -> None:
    assert len(make_tables.PLACES) > 1
    for path, name, table in make_tables.PLACES:
        text = path.read_text("utf-8")
        marks = rf"<!-- begin {name} -->\n(.*?)<!-- end {name} -->"
        shown = re.search(marks, text, re.DOTALL)
        assert shown is not None, (path.name, name)
        assert shown[1].strip() == table().strip(), f"{path.name}: run `make docs`"


def test_every_bundled_network_has_the_card_that_its_header_and_the_results_give() -> None:
    rows = make_cards.known()
    assert {row.key: row for row in known_results()} == {row.key: row for row in rows}
    for path in sorted(make_cards.WEIGHTS.glob("*.safetensors")):
        weights = find(path)
        own = [row for row in rows if row.weights == weights.sha256]
        expected = make_cards.card(weights, own)
        assert path.with_suffix(".md").read_text("utf-8") == expected


def test_the_sample_is_what_its_script_makes() -> None:
    with Image.open(ROOT / "docs" / "sample.png") as picture:
        assert np.array_equal(np.asarray(picture), figures.sample())


def test_a_figure_has_a_row_for_each_crop_and_a_column_for_each_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load: Callable[[str], Any] = prosr.load
    monkeypatch.setattr(prosr, "load", lambda *_, **__: load("bicubic"), raising=False)
    pixels = figures.draw(figures.Figure(4, ("bicubic", "prosr-xs"), figures.CROPS[:1]))
    side, gap = figures.SIDE * figures.ZOOM, figures.GAP
    assert pixels.dtype == np.uint8
    assert pixels.shape == (figures.LABEL + gap + side, 4 * side + 3 * gap, 3)


def test_the_pair_shows_one_place_of_the_photograph_before_and_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load: Callable[[str], Any] = prosr.load
    monkeypatch.setattr(prosr, "load", lambda *_, **__: load("bicubic"), raising=False)
    pixels = figures.pair()
    with Image.open(ROOT / "docs" / "before-after.jpg") as picture:
        assert picture.size == pixels.shape[1::-1]
        before = np.asarray(picture)[figures.LABEL :, : picture.width // 2 - figures.GAP]
    # What JPEG makes of it.
    mine = pixels[figures.LABEL :, : before.shape[1]].astype(float)
    assert np.abs(mine - before).mean() < 3


@pytest.mark.parametrize("name", figures.FIGURES)
def test_the_figures_in_the_documents_are_whole(name: str) -> None:
    figure, side, gap = figures.FIGURES[name], figures.SIDE * figures.ZOOM, figures.GAP
    columns, rows = len(figure.columns), len(figure.crops)
    expected = (columns * (side + gap) - gap, figures.LABEL + rows * (gap + side))
    with Image.open(ROOT / "docs" / name) as picture:
        assert picture.size == expected


def test_the_plot_of_engines_has_every_case_and_engine() -> None:
    timing = Timing((0.5,))
    rows = [
        TimingRow(case=case, subject=subject, megapixels=1.0, **measured(timing))
        for case in ("case 1", "case 2")
        for subject in ("engine a", "engine b")
    ]
    drawn = make_plots.engines(rows)
    # Text is drawn as paths, with the text itself in a comment.
    assert all(f"<!-- {name} -->" in drawn for name in ("case 1", "case 2", "engine a", "engine b"))


@pytest.mark.parametrize("name", make_plots.PLOTS)
def test_the_plots_show_the_results(name: str) -> None:
    drawn = make_plots.PLOTS[name]()
    assert (ROOT / "docs" / name).read_text("utf-8") == drawn, "run `make docs`"


def test_a_table_replaces_what_stands_between_its_markers(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("a\n<!-- begin scores -->\nold\n<!-- end scores -->\nb\n", encoding="utf-8")
    for _ in range(2):
        make_tables.update_table(path, "scores", r"| ×2 \1 |")
        text = path.read_text(encoding="utf-8")
        assert text == "a\n<!-- begin scores -->\n| ×2 \\1 |\n<!-- end scores -->\nb\n"


@pytest.mark.parametrize("text", ["", "<!-- end t -->\n<!-- begin t -->\n", "<!-- begin t -->\n"])
def test_a_file_without_markers_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.md").write_text(text)
    with pytest.raises(ConfigError, match=r"a\.md has 0 places for a table; it needs one"):
        make_tables.update_table(tmp_path / "a.md", "t", "table")
