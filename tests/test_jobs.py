"""Which files become jobs, which results are recognised, and how a run continues after failures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from prosr.errors import ConfigError, ImageError
from prosr.images.formats import find_format
from prosr.images.reading import read_rgb
from prosr.inference.loading import find_model, load, open_engine
from prosr.inference.upscaler import Upscaler
from prosr.jobs import Job, Outcome, find
from prosr.jobs import run as run_jobs

Make = Callable[..., None]


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make() -> Make:
    def save(*names: str, size: tuple[int, int] = (4, 3)) -> None:
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, (200, 100, 50)).save(name)

    return save


def pairs(jobs: list[Job]) -> dict[str, str]:
    assert not any(job.refusal for job in jobs)
    return {job.source.as_posix(): job.target.as_posix() for job in jobs}


def run(*requests: str, scale: int = 2, overwrite: bool = False, **options: str) -> list[Outcome]:
    jobs = find(requests, scale, **options)  # type: ignore[arg-type]
    return list(run_jobs(load("bicubic"), jobs, scale, overwrite=overwrite))


def named(name: str) -> Upscaler:
    """The bicubic model with another name."""
    return Upscaler(open_engine(find_model("bicubic"), 10**9, "openvino"), name, "")


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def test_a_result_is_beside_its_file_or_at_the_output(make: Make) -> None:
    make("in/a.b.png")
    assert pairs(find(["in/a.b.png"], 4)) == {"in/a.b.png": "in/a.b_x4.png"}
    assert pairs(find(["in/a.b.png"], 4, "out")) == {"in/a.b.png": "out/a.b_x4.png"}
    assert pairs(find(["in/a.b.png"], 4, "out.x/")) == {"in/a.b.png": "out.x/a.b_x4.png"}
    assert pairs(find(["in/a.b.png"], 4, "out/c.jpg")) == {"in/a.b.png": "out/c.jpg"}
    jpeg = find_format("jpeg")
    assert pairs(find(["in/a.b.png"], 4, None, jpeg)) == {"in/a.b.png": "in/a.b_x4.jpg"}


def test_formats_that_cannot_be_written_become_png(make: Make) -> None:
    make("a.gif", "b.JPG")
    expected = {"a.gif": "a_x2.png", "b.JPG": "b_x2.JPG"}
    assert pairs(find(["a.gif", "b.JPG"], 2)) == expected


def test_results_of_a_folder_copy_its_tree(make: Make) -> None:
    make("in/a.png", "in/sub/b.jpg", "in/.hidden.png", "in/.git/c.png")
    Path("in/notes.txt").touch()
    expected = {"in/a.png": "in_x4/a.png", "in/sub/b.jpg": "in_x4/sub/b.jpg"}
    assert pairs(find(["in"], 4)) == expected
    assert pairs(find(["in/"], 4)) == expected
    moved = {"in/a.png": "out/a.png", "in/sub/b.jpg": "out/sub/b.jpg"}
    assert pairs(find(["in"], 4, "out")) == moved


def test_results_of_the_current_folder_are_beside_it(
    make: Make, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("in/a.png")
    monkeypatch.chdir("in")
    assert pairs(find(["."], 4)) == {"a.png": f"{inside.as_posix()}/in_x4/a.png"}


def test_several_folders_keep_their_names_in_the_output(make: Make) -> None:
    make("one/a.png", "two/a.png")
    expected = {"one/a.png": "out/one/a.png", "two/a.png": "out/two/a.png"}
    assert pairs(find(["one", "two"], 4, "out")) == expected


def test_patterns_are_expanded(make: Make) -> None:
    make("in/a.png", "in/sub/b.png", "in/c.jpg", "[x].png")
    expected = {"in/a.png": "in/a_x2.png", "in/sub/b.png": "in/sub/b_x2.png"}
    assert pairs(find(["in/**/*.png"], 2)) == expected
    assert pairs(find(["[x].png"], 2)) == {"[x].png": "[x]_x2.png"}


def test_a_picture_named_twice_is_enlarged_once(make: Make) -> None:
    make("in/a.png")
    assert len(find(["in/a.png", "in", "in/../in/a.png"], 2)) == 1


def test_a_missing_file_is_refused() -> None:
    (job,) = find(["a.png"], 2)
    assert job.refusal == "a.png: no such file; check its name"


def test_impossible_requests_are_refused(make: Make) -> None:
    make("in/a.png", "b.png")
    Path("empty").mkdir()
    with pytest.raises(ConfigError, match="empty: no pictures or clips in it"):
        find(["empty"], 2)
    with pytest.raises(ConfigError, match="names one file, not a folder; give a folder"):
        find(["in/a.png", "b.png"], 2, "c.png")
    with pytest.raises(ConfigError, match="results would go into itself"):
        find(["in"], 2, "in")
    with pytest.raises(ConfigError, match=r"c\.jpg: its name must end in \.png; or"):
        find(["b.png"], 2, "c.jpg", find_format("png"))
    with pytest.raises(ImageError, match=r"'\.bmp' is not a format"):
        find(["b.png"], 2, "c.bmp")


def test_of_two_pictures_with_the_same_result_one_is_refused(make: Make) -> None:
    make("in/a.png", "in/a.jpg")
    outcomes = list(run_jobs(load("bicubic"), find(["in"], 2, None, find_format("webp")), 2))
    assert statuses(outcomes) == ["made", "failed"]
    assert "would replace that of in/a.jpg" in outcomes[1].reason


def test_no_requested_picture_is_replaced_by_a_result(make: Make) -> None:
    make("a.png", "a_x2.png")
    before = Path("a_x2.png").read_bytes()
    outcomes = run("a.png", "a_x2.png", overwrite=True)
    assert statuses(outcomes) == ["failed", "made"]
    assert "would replace a_x2.png; give it another output" in outcomes[0].reason
    assert Path("a_x2.png").read_bytes() == before


def test_a_second_run_skips_what_is_made_and_enlarges_no_results(make: Make) -> None:
    make("in/a.png", "in/sub/b.jpg", "c.png")
    requests = ["in", "c.png"]
    assert statuses(run(*requests)) == ["made"] * 3
    assert statuses(run(*requests)) == ["skipped"] * 3
    # A shell's `*` includes what the first run made.
    everything = sorted(entry for entry in os.listdir() if not entry.startswith("."))
    assert everything == ["c.png", "c_x2.png", "in", "in_x2"]
    assert statuses(run(*everything)) == ["skipped"] * 3
    assert statuses(run(*everything, scale=4)) == ["made"] * 3


def test_results_inside_the_folder_are_not_enlarged(make: Make) -> None:
    make("in/a.png")
    for _ in range(2):
        run("in", output="in/large")
    assert sorted(path.name for path in Path("in").rglob("*.png")) == ["a.png", "a.png"]


def test_results_of_the_same_name_in_another_folder_are_not_enlarged(make: Make) -> None:
    make("in/a.png", "in/b/c.png")
    run("in", output="in/large")
    make("in/more/a.png", size=(8, 6))  # of the same size, but not made by prosr
    make("in/far/d.png", size=(10, 6))
    run("in/far/d.png", output="other/a.png")
    expected = {"in/a.png", "in/b/c.png", "in/far/d.png", "in/more/a.png"}
    assert pairs(find(["in"], 2)).keys() == expected
    # The result of a picture that is not among the jobs is enlarged.
    assert pairs(find(["in/a.png", "other"], 2)).keys() == {"in/a.png", "other/a.png"}


def test_results_below_another_folder_of_the_same_pictures_are_not_enlarged(make: Make) -> None:
    make("in/a.png", "in/b_x2.png")
    run("in/a.png", output="in/large/")
    assert pairs(find(["in"], 2)).keys() == {"in/a.png", "in/b_x2.png"}


def test_results_that_replaced_their_pictures_are_enlarged(make: Make) -> None:
    make("in/one/a.png", "in/two/a.png")
    run("in", output="out")
    for name in ("one/a.png", "two/a.png"):
        Path("out", name).replace(Path("in", name))
    assert pairs(find(["in"], 2)).keys() == {"in/one/a.png", "in/two/a.png"}


def test_a_folder_that_cannot_be_read_is_a_failure(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("in/a.png", "in/far/b.png")
    scan = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "far":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    outcomes = run("in")
    assert statuses(outcomes) == ["made", "failed"]
    assert outcomes[1].reason == "in/far: this folder cannot be read; change its permissions"


def test_linked_folders_are_followed_but_not_in_circles(make: Make) -> None:
    make("in/a.png", "far/b.png")
    for link, folder in [("in/far", "far"), ("in/self", "in"), ("far/back", "in"), ("in/up", ".")]:
        Path(link).symlink_to(Path(folder).absolute(), target_is_directory=True)
    assert pairs(find(["in"], 2)).keys() == {"in/a.png", "in/far/b.png"}


def test_a_picture_that_is_only_named_like_a_result_is_enlarged(make: Make) -> None:
    make("in/a.png", "in/a_x2.png")
    assert len(find(["in"], 2)) == 2


def test_a_result_can_be_enlarged_without_its_source(make: Make) -> None:
    make("a.png")
    run("a.png")
    assert pairs(find(["a_x2.png"], 4)) == {"a_x2.png": "a_x2_x4.png"}


def test_a_changed_picture_is_made_anew(make: Make) -> None:
    make("a.png")
    run("a.png")
    os.utime("a.png", ns=(2**62, 2**62))
    assert statuses(run("a.png")) == ["skipped"]
    # Older than the result, like a copy that keeps the time.
    Image.new("RGB", (4, 3), "blue").save("a.png")
    os.utime("a.png", ns=(0, 0))
    (outcome,) = run("a.png")
    assert (outcome.status, outcome.reason) == ("made", "replaced: the picture has changed")
    assert read_rgb(Path("a_x2.png"))[0, 0].tolist() == [0, 0, 255]


def test_the_result_of_another_picture_is_neither_skipped_nor_replaced(make: Make) -> None:
    make("one/a.png")
    Path("two").mkdir()
    Image.new("RGB", (4, 3), "blue").save("two/a.png")
    assert statuses(run("one/a.png", output="out/")) == ["made"]
    before = Path("out/a_x2.png").read_bytes()
    (outcome,) = run("two/a.png", output="out/")
    assert outcome.status == "failed"
    assert "made from another file than two/a.png; give another output" in outcome.reason
    assert Path("out/a_x2.png").read_bytes() == before
    assert statuses(run("two/a.png", output="out/", overwrite=True)) == ["made"]


def test_unchanged_pictures_are_not_read_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make("a.png")
    run("a.png")
    monkeypatch.setattr("hashlib.file_digest", None)
    assert statuses(run("a.png")) == ["skipped"]


def test_a_picture_that_changes_while_it_is_enlarged_is_made_anew(make: Make) -> None:
    make("a.png")

    def change(done: int, total: int) -> None:
        Image.new("RGB", (4, 3), "blue").save("a.png")

    jobs = find(["a.png"], 2)
    assert statuses(list(run_jobs(load("bicubic"), jobs, 2, starting=lambda job: change))) == [
        "made"
    ]
    assert statuses(run("a.png")) == ["made"]
    assert statuses(run("a.png")) == ["skipped"]


def test_a_run_resumes_after_its_pictures_have_moved(make: Make) -> None:
    make("in/a.png", "in/b.png")
    run("in/a.png", output="out/")
    Path("in").rename("moved")
    assert statuses(run("moved/a.png", "moved/b.png", output="out/")) == ["skipped", "made"]


@pytest.mark.parametrize("name", ["my; net", "Größe", "nét x2", "long" * 50])
def test_results_are_recognised_whatever_the_name_of_the_network(make: Make, name: str) -> None:
    make("a.png")
    for kind in ("made", "skipped"):
        (outcome,) = run_jobs(named(name), find(["a.png"], 2), 2)
        assert outcome.status == kind


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_at_the_place_of_the_result_is_refused(make: Make, overwrite: bool) -> None:
    make("a.png")
    Path("a_x2.png").mkdir()
    (outcome,) = run("a.png", overwrite=overwrite)
    assert outcome.reason == "a_x2.png: is a folder; give another output"
    with pytest.raises(ImageError, match=r"a_x2\.png"):
        load("bicubic").upscale("a.png", 2, overwrite=overwrite)
    assert not list(Path("a_x2.png").iterdir())


def test_a_result_that_cannot_be_read_is_a_failure(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("a.png")
    run("a.png")
    monkeypatch.setattr(os, "access", lambda path, mode: path != Path("a_x2.png"))
    (outcome,) = run("a.png")
    assert outcome.reason == "a_x2.png: cannot be read; allow reading or give another output"


@pytest.mark.parametrize("foreign", ["another network", "another scale", "a stranger", "half"])
def test_other_files_are_replaced_only_with_overwrite(make: Make, foreign: str) -> None:
    make("a.png")
    if foreign == "another network":
        named("other").upscale("a.png", 2)
    elif foreign == "another scale":
        load("bicubic").upscale("a.png", 4, output="a_x2.png")
    elif foreign == "a stranger":
        make("a_x2.png", size=(8, 6))
    else:
        Path("a_x2.png").write_bytes(Path("a.png").read_bytes()[:50])
    before = Path("a_x2.png").read_bytes()
    (outcome,) = run("a.png")
    assert outcome.status == "failed" and "replace it with --overwrite" in outcome.reason
    assert Path("a_x2.png").read_bytes() == before
    assert statuses(run("a.png", overwrite=True)) == ["made"]
    assert statuses(run("a.png")) == ["skipped"]


def test_one_bad_picture_never_stops_the_rest(make: Make) -> None:
    make("in/a.png", "in/b.png", "in/c.png", "in/d.png")
    Path("in/b.png").write_bytes(b"")
    Path("in/c.png").write_bytes(Path("in/a.png").read_bytes()[:60])
    assert statuses(run("in")) == ["made", "failed", "failed", "made"]


def test_pictures_in_unsupported_formats_are_failures(make: Make) -> None:
    make("in/a.png", "in/b.bmp")
    outcomes = run("in")
    assert statuses(outcomes) == ["made", "failed"]
    assert outcomes[1].reason == "in/b.bmp: this format is not supported; make it a PNG first"


def test_not_even_a_bug_stops_the_rest(make: Make) -> None:
    make("in/a.png", "in/b.png")

    def starting(job: Job) -> None:
        if job.source.name == "a.png":
            raise ZeroDivisionError("oh\nno")

    outcomes = list(run_jobs(load("bicubic"), find(["in"], 2), 2, starting=starting))
    assert statuses(outcomes) == ["failed", "made"]
    assert outcomes[0].reason == "in/a.png: unexpected ZeroDivisionError: oh no"
    assert isinstance(outcomes[0].error, ZeroDivisionError)
