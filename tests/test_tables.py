"""Tables name their protocol, keep a fixed order, and name the source of published scores."""

from __future__ import annotations

from collections.abc import Sequence

from make_tables import to_markdown
from rich.console import Console

from prosr.cli.tables import score_tables
from prosr.evaluation.results import ScoreRow
from prosr.lab.published import PUBLISHED, PublishedScores
from test_results import make_row


def rows() -> list[ScoreRow]:
    return [
        make_row(model=model, set=name, scale=scale, psnr=psnr + gain)
        for name, psnr in (("Kodak", 30.0), ("Set14", 28.0), ("Set5", 32.0))
        for scale in (4, 2)
        for model, gain in (("prosr-xs", 3.0), ("bicubic", 0.0))
    ]


def printed(some: list[ScoreRow], published: Sequence[PublishedScores] = ()) -> str:
    console = Console(width=120, record=True, quiet=True, force_terminal=False)
    with console.capture() as capture:
        console.quiet = False
        for table in score_tables(some, published):
            console.print(table)
    return capture.get()


def test_markdown_sorts_sets_as_usual_scales_up_and_models_from_worst_to_best() -> None:
    table = to_markdown(rows()).splitlines()
    assert table[0] == "| scale | model | Set5 | Set14 | Kodak |"
    assert [line.split(" | ")[:2] for line in table[2:6]] == [
        ["| ×2", "bicubic"],
        ["| ×2", "prosr-xs"],
        ["| ×4", "bicubic"],
        ["| ×4", "prosr-xs"],
    ]
    assert table[3] == "| ×2 | prosr-xs | 35.00 / 0.9299 | 31.00 / 0.9299 | 33.00 / 0.9299 |"


def test_markdown_does_not_depend_on_the_order_of_rows() -> None:
    assert to_markdown(rows()) == to_markdown(rows()[::-1])


def test_a_score_that_was_not_measured_is_a_dash() -> None:
    some = [make_row(ssim=None), make_row(model="other", set="Set14")]
    table = to_markdown(some)
    assert "| ×2 | bicubic | 33.66 | – |" in table


def test_markdown_names_the_protocol_of_each_table() -> None:
    table = to_markdown([make_row(protocol="ntire"), make_row()])
    assert table.index("protocol paper (as") < table.index("protocol ntire (as")


def test_published_systems_are_listed_once_for_each_scale() -> None:
    places = [(figures.model, figures.scale) for figures in PUBLISHED]
    assert len(set(places)) == len(places)


def test_the_terminal_table_names_its_protocol() -> None:
    assert "luminance (BT.601, 16–235)" in printed(rows())


def test_the_terminal_table_shows_every_row() -> None:
    text = printed([make_row(model="mine", ssim=None, consistency=51.234, seconds=7.654)])
    assert [word for word in text.split() if word in ("mine", "33.66", "–", "51.23", "7.65")] == [
        "mine",
        "33.66",
        "–",
        "51.23",
        "7.65",
    ]


def test_the_terminal_table_can_show_published_scores_with_their_source() -> None:
    text = printed([make_row(scale=4)], PUBLISHED)
    assert "HAT †" in text
    assert "HAT, CVPR 2023" in " ".join(text.split())
    assert "33.04" in text


def test_published_scores_are_shown_only_under_their_protocol() -> None:
    assert "†" not in printed([make_row(protocol="ntire")], PUBLISHED)
