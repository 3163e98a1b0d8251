"""`prosr upscale` as a user types it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from prosr import cli
from prosr.images.reading import Picture

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Call `prosr upscale` with the bicubic model; give exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["prosr", "upscale", "--model", "bicubic", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return stop.value.code, *capsys.readouterr()

    return call


def picture(name: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4), (200, 100, 50)).save(name)


def test_a_picture_is_enlarged(run: Run) -> None:
    picture("a b.png")
    code, out, err = run("a b.png", "--scale", "2")
    assert (code, err) == (0, "")
    made, summary, work = out.splitlines()
    assert (made, summary) == ("made     a b_x2.png", "1 made, 0 skipped, 0 failed")
    assert re.fullmatch(
        r"openvino \w+, \d+\.\d\d megapixels/s, \d+\.\d\d GB of memory at most", work
    )
    with Image.open("a b_x2.png") as result:
        assert result.size == (10, 8)


def test_the_default_scale_is_4_and_the_format_can_be_chosen(run: Run) -> None:
    picture("a.png")
    assert run("a.png", "--format", "jpeg")[0] == 0
    with Image.open("a_x4.jpg") as result:
        assert (result.format, result.size) == ("JPEG", (20, 16))


def test_common_options_have_short_forms(run: Run) -> None:
    picture("a.png")
    assert run("a.png", "-s", "2", "-o", "b.png")[1].startswith("made     b.png\n")
    with Image.open("b.png") as result:
        assert result.size == (10, 8)
    assert "no model is called 'prosr-xss'" in run("a.png", "-m", "prosr-xss")[2]


def test_a_batch_prints_each_outcome(run: Run) -> None:
    for name in ("in/a.png", "in/sub/line\nbreak [b] é.png", "in/done.png"):
        picture(name)
    assert run("in/done.png", "--output", "in_x4/done.png")[0] == 0
    Path("in/empty.jpg").touch()
    code, out, err = run("in", "missing.png")
    assert (code, err) == (1, "")
    assert out.splitlines()[:-1] == [
        "made     in_x4/a.png",
        "skipped  in_x4/done.png (done already)",
        "failed   in/empty.jpg: empty file; get another copy",
        "made     in_x4/sub/line\\nbreak [b] é.png",
        "failed   missing.png: no such file; check its name",
        "2 made, 1 skipped, 2 failed",
    ]
    assert Path("in_x4/sub/line\nbreak [b] é.png").exists()


def test_a_dry_run_prints_estimates_and_writes_nothing(run: Run) -> None:
    for name in ("in/a.png", "in/b.png"):
        picture(name)
    assert run("in/a.png", "--output", "in_x4/a.png")[0] == 0
    Path("in/c.png").touch()
    before = sorted(Path().rglob("*"))
    code, out, err = run("in", "--dry-run")
    assert (code, err) == (1, "")
    # The memory of this process includes what other tests left.
    assert re.sub(r"0\.[1-5]\d GB", "0.4 GB", out).splitlines() == [
        "skipped  in_x4/a.png (done already)",
        "planned  in_x4/b.png (20×16 pixels, 1 tile, less than 1 s, 0.4 GB of memory)",
        "failed   in/c.png: empty file; get another copy",
        "1 planned, 1 skipped, 1 failed, less than 1 s in total, nothing written",
    ]
    assert sorted(Path().rglob("*")) == before
    assert run("in/b.png", "--dry-run", "--output", "b.bmp")[0] == 2


def test_quiet_prints_only_failures(run: Run) -> None:
    picture("a.png")
    Path("b.png").touch()
    assert run("a.png", "b.png", "--quiet") == (
        1,
        "",
        "failed   b.png: empty file; get another copy\n",
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["missing.png"], "missing.png: no such file"),
        (["empty.png"], "empty.png: empty file"),
        (["a.png", "--scale", "0"], "scale 0 is not a number from 1 to 16"),
        (["a.png", "--model", "prosr-xxs"], "no model is called 'prosr-xxs'; did you mean"),
        (["a.png", "--model", "edsr-x5"], "no model is called 'edsr-x5'; did you mean 'edsr-x"),
        (["a.png", "--model", "none"], "no model is called 'none'; known: bicubic, progansr-xs"),
        (["a.png", "--format", "bmp"], "'bmp' is not a format that can be written; use JPEG"),
        (["a.png", "--output", "a.png", "--overwrite"], "a.png: is the input itself"),
        (["a.png", "--output", "a.png"], "a.png: is the input itself; give another output"),
        (["a.png", "--max-memory", "much"], "'much' is not a size; write for example 2G or 512M"),
        ([""], "the path is empty; give a value"),
        (["a.png", "--output", ""], "the output is empty; give a value"),
        (["a.png", "--format", ""], "the format is empty; give a value"),
        (["a.png", "--model", ""], "the model is empty; give a value"),
        (["a.mp4", "--format", "png"], "the format PNG is for pictures"),
        (["a.png", "--max-memory", "100M"], "a memory limit of 0.1 GB is too low"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(
    run: Run, words: list[str], complaint: str
) -> None:
    picture("a.png")
    Path("empty.png").touch()
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {complaint}") and err.count("\n") == 1


def test_successes_with_a_remark_are_always_listed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prosr.cli.display._LISTED", 1)
    for name in ("in/a.png", "in/b.png", "in/c.png"):
        picture(name)
    run("in")
    Image.new("RGB", (4, 3), "blue").save("in/c.png")
    code, out, _ = run("in")
    assert code == 0
    assert "made     in_x4/c.png (replaced: the picture has changed)" in out
    assert "…        and 1 more" in out


def test_after_an_interruption_the_outcomes_so_far_are_printed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prosr.inference.upscaler import Upscaler

    for name in ("in/a.png", "in/b.png", "in/c.png"):
        picture(name)
    upscale = Upscaler.upscale

    def interrupted(self: Upscaler, image: Path, *args: object, **options: object) -> object:
        if image.name == "b.png":
            raise KeyboardInterrupt
        return upscale(self, image, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Upscaler, "upscale", interrupted)
    code, out, err = run("in")
    assert (code, err) == (130, "interrupted\n")
    assert out == "made     in_x4/a.png\n1 made, 0 skipped, 0 failed, 2 not started\n"
    assert os.listdir("in_x4") == ["a.png"]


def test_a_name_that_is_not_utf_8_is_printed_escaped(run: Run) -> None:
    name = os.fsdecode(b"a\xff.png")
    picture("a.png")
    try:
        os.rename("a.png", name)
    except OSError:
        pytest.skip("this file system takes only names that are text")
    code, out, _ = run(name, "--scale", "2")
    assert (code, out.splitlines()[0]) == (0, "made     a\\udcff_x2.png")


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    Image.new("L", (3, 3)).save(tmp_path / "a.png")
    words = ["upscale", "a.png", "--model", "bicubic"]
    # Lists on standard error what is imported. Only progress bars need rich, nothing PyTorch.
    command = [sys.executable, "-X", "importtime", "-m", "prosr", *words]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert (tmp_path / "a_x4.png").exists()
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "prosr.jobs" in imported
    assert not imported & {"rich", "torch", "av", "filelock"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in kilobytes only on Linux")
@pytest.mark.parametrize(
    ("size", "scale", "model"),
    [((30_000, 1), 8, "prosr-xs"), ((1, 30_000), 8, "prosr-xs"), ((6000, 4000), 4, "bicubic")],
)
def test_memory_stays_under_its_limit(
    tmp_path: Path, size: tuple[int, int], scale: int, model: str
) -> None:
    Image.effect_noise(size, 60).save(tmp_path / "a.png")
    program = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run([sys.executable, '-m', 'prosr', *sys.argv[1:]])\n"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "sys.exit(done.returncode or 1024 * usage.ru_maxrss > 512_000_000)\n"
    )
    words = ["upscale", "a.png", "--model", model, "--max-memory", "512M", "--scale", str(scale)]
    # Two threads, as on a small machine: each has memory of its own.
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "VIPS_CONCURRENCY": "2"}
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0
    result = Picture(tmp_path / f"a_x{scale}.png")
    assert (result.width, result.height) == (scale * size[0], scale * size[1])


@pytest.mark.parametrize("more", [(), ("b.png",)])
def test_a_bug_of_ours_exits_with_70_or_1(
    run: Run, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh no")

    for name in ("a.png", *more):
        picture(name)
    monkeypatch.setattr("prosr.inference.upscaler.Upscaler.upscale", fail)
    code, out, err = run("a.png", *more)
    assert code == (1 if more else 70)
    assert "unexpected ZeroDivisionError: oh no" in out + err
    monkeypatch.setenv("PROSR_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["prosr", "upscale", "--model", "bicubic", "a.png", *more])
    with pytest.raises(ZeroDivisionError):
        cli.main()
