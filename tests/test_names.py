"""One rule for the folders that are searched, and for the names that results may take."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from prosr.data.patches import open_pictures
from prosr.inference.loading import load
from prosr.jobs import Job, Outcome, find
from prosr.jobs import run as run_jobs


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3), (200, 100, 50)).save(name)


def sources(jobs: list[Job]) -> set[str]:
    return {job.source.as_posix() for job in jobs}


def run(*requests: str, output: str | None = None) -> list[Outcome]:
    return list(run_jobs(load("bicubic"), find(requests, 2, output), 2))


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def linked(**links: str) -> None:
    for link, folder in links.items():
        path = Path(link.replace("__", "/"))
        path.symlink_to(Path(folder).absolute(), target_is_directory=True)


def test_a_folder_with_many_names_is_entered_once_by_its_own() -> None:
    save("in/z/a.png", "far/b.png", "far/more/c.png")
    linked(in__a="in/z", in__far="far", in__twice="far", far__more__back="far")
    expected = {"in/z/a.png", "in/far/b.png", "in/far/more/c.png"}
    assert sources(find(["in"], 2)) == expected


def test_folders_that_all_link_to_each_other_are_searched_at_once() -> None:
    names = [f"in/{number:02}" for number in range(20)]
    save(*(f"{name}/a.png" for name in names))
    for name in names:
        for other in names:
            Path(name, f"to-{Path(other).name}").symlink_to(Path(other).absolute())
    assert len(find(["in"], 2)) == 20


def test_training_finds_what_enlarging_finds(tmp_path: Path) -> None:
    save("in/a.png", "in/.b.png", "in/.hidden/c.png", "far/d.png", "in/deep/e.png")
    linked(in__far="far", in__self="in")
    trained, problems = open_pictures([Path("in")], tmp_path / "cache")
    enlarged = sources(find(["in"], 2))
    assert sorted(picture.path.as_posix() for picture in trained) == sorted(enlarged)
    assert sorted(enlarged) == ["in/a.png", "in/deep/e.png", "in/far/d.png"] and not problems


@pytest.mark.parametrize("bad", ["heic", "gif", "empty", "missing", "clip"])
def test_a_file_that_cannot_be_read_takes_no_name(bad: str) -> None:
    save("in/photo.png")
    other = Path("in", "photo.heic" if bad == "heic" else "photo.gif")
    if bad == "gif":
        frames = [Image.new("L", (8, 8), value) for value in (0, 99)]
        frames[0].save(other, save_all=True, append_images=frames[1:])
    elif bad != "missing":
        other.write_bytes(b"\0\0\0\x18ftypheic" if bad == "heic" else b"")
    outcomes = run(other.as_posix(), "in/photo.png", output="out/")
    assert statuses(outcomes) == ["failed", "made"]
    assert statuses(run("in/photo.png", output="out/")) == ["skipped"]


@pytest.mark.parametrize("kind", ["made", "skipped", "planned"])
def test_a_name_belongs_to_the_first_picture_that_makes_it(kind: str) -> None:
    save("in/a.gif", "in/a.png")
    jobs = find(["in/a.gif", "in/a.png"], 2, "out/")
    for dry_run in {"made": [False], "skipped": [False, False], "planned": [True]}[kind]:
        outcomes = list(run_jobs(load("bicubic"), jobs, 2, dry_run=dry_run))
    assert statuses(outcomes) == [kind, "failed"]
    assert "its result would replace that of in/a.gif" in outcomes[1].reason


def appearing(job: Job) -> Callable[[int, int], None]:
    """Writes a file at the target while the picture is enlarged."""

    def write(done: int, total: int) -> None:
        job.target.write_bytes(b"new")

    return write


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_appears_during_the_work_is_kept(
    monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    save("a.png")
    if not links:

        def refuse(*paths: Path) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    jobs = find(["a.png"], 2)
    (outcome,) = run_jobs(load("bicubic"), jobs, 2, starting=appearing)
    assert (outcome.status, Path("a_x2.png").read_bytes()) == ("failed", b"new")
    assert "exists, not known to be made by prosr; replace it with --overwrite" in outcome.reason
    assert sorted(os.listdir()) == ["a.png", "a_x2.png"]
    Path("a_x2.png").unlink()
    (outcome,) = run_jobs(load("bicubic"), jobs, 2, starting=appearing, overwrite=True)
    assert (outcome.status, len(Path("a_x2.png").read_bytes()) > 3) == ("made", True)
    Path("a_x2.png").unlink()
    assert statuses(run("a.png")) == ["made"]


def test_of_two_runs_at_once_one_makes_the_result_and_one_skips_it() -> None:
    save("a.png")

    def starting(job: Job) -> None:
        if not Path("a_x2.png").exists():
            assert statuses(run("a.png")) == ["made"]

    (outcome,) = run_jobs(load("bicubic"), find(["a.png"], 2), 2, starting=starting)
    assert (outcome.status, outcome.reason) == ("skipped", "another process has made it")


def test_a_failed_job_leaves_no_new_folder() -> None:
    save("a.png", "in/b.png")
    Path("in/b.png").write_bytes(b"")
    Path("old").mkdir()
    for output in ("new/deep/", "old/"):
        assert statuses(run("in/b.png", output=output)) == ["failed"]
    assert sorted(os.listdir()) == ["a.png", "in", "old"]
    assert statuses(run("a.png", "in/b.png", output="new/deep/")) == ["made", "failed"]
    assert os.listdir("new/deep") == ["a_x2.png"]
