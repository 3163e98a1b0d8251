"""What all verbs share: help, version, exit codes, and one line for each error."""

from __future__ import annotations

import builtins
import os
import resource
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

import prosr
from prosr import __main__, cli
from prosr.errors import CheckpointError, ProSRError

ROOT = Path(__file__).parents[1]
VERBS = ("upscale", "evaluate", "train", "convert")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call main() with these words; return its exit code and what it printed."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["prosr", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return stop.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def failing(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> Callable[[BaseException], tuple[int, str]]:
    """Call main() while a verb raises this; return its exit code and standard error."""

    def call(error: BaseException) -> tuple[int, str]:
        def app(args: list[str], prog_name: str) -> None:
            raise error

        monkeypatch.setattr(cli, "app", app)
        code, out, err = run("upscale")
        assert out == ""
        return code, err

    return call


def test_help_names_every_verb_and_shell_completion(run: Run) -> None:
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert all(verb in out for verb in VERBS)
    assert "--install-completion" in out


def test_no_arguments_show_help(run: Run) -> None:
    code, out, err = run()
    assert code == 2
    assert "upscale" in out + err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(run: Run, verb: str) -> None:
    code, out, err = run(verb, "--help")
    assert (code, err) == (0, "")
    assert "Usage: prosr " + verb in out


@pytest.mark.parametrize("verb", VERBS)
def test_help_breaks_lines_at_the_terminals_edge_only(
    run: Run, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    above = run(verb, "--help")[1].partition("╭")[0]
    for paragraph in above.split("\n" + 80 * " " + "\n"):
        lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
        for line, following in pairwise(lines):
            assert len(line) + 1 + len(following.split()[0]) > 76, line


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from prosr import cli; sys.argv = ['prosr', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    assert not loaded & {"torch", "numpy", "pyvips", "pydantic", "safetensors", "rich.progress"}


def test_help_takes_less_than_half_a_second() -> None:
    """Processor time: other processes must not count."""

    def measure() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "prosr", "--help"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(measure() for _ in range(3)) < 0.5


def test_the_version_is_the_same_everywhere(run: Run) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert run("--version") == (0, f"prosr {prosr.__version__}\n", "")
    assert prosr.__version__ == project["version"] == metadata.version("prosr")
    assert f"\nversion: {prosr.__version__}\n" in citation
    assert f"\n## {prosr.__version__}" in changes


@pytest.mark.parametrize("words", [("upscale", "--nonsense"), ("enlarge",), ("--nonsense",)])
def test_usage_errors_exit_with_2(run: Run, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert words[-1] in err


@pytest.mark.parametrize("error", [ProSRError("a.png: no"), CheckpointError("a.png: no")])
def test_our_errors_are_one_line_and_exit_with_2(
    failing: Callable[[BaseException], tuple[int, str]], error: ProSRError
) -> None:
    assert failing(error) == (2, f"error: a.png: no [{type(error).__name__}]\n")


def test_an_interrupt_exits_with_130(failing: Callable[[BaseException], tuple[int, str]]) -> None:
    assert failing(KeyboardInterrupt()) == (130, "interrupted\n")


def test_an_interrupt_inside_a_verb_exits_with_130(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verb() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", typer.Typer(pretty_exceptions_enable=False))
    cli.app.command()(verb)
    assert run() == (130, "", "interrupted\n")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
@pytest.mark.parametrize(
    ("name", "heard", "end"),
    [
        ("SIGINT", True, (130, "", "interrupted\n")),
        ("SIGTERM", True, (143, "", "terminated\n")),
        ("SIGHUP", True, (129, "", "hung up\n")),
        ("SIGHUP", False, (0, "", "")),
    ],
)
def test_a_signal_runs_finally_blocks_and_repeats_are_ignored(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, heard: bool, end: tuple[int, str, str]
) -> None:
    unwound = []
    number = signal.Signals[name]

    def app(args: list[str], prog_name: str) -> None:
        try:
            os.kill(os.getpid(), number)
        finally:
            # A closed terminal sends SIGHUP twice, and people press Ctrl-C twice.
            os.kill(os.getpid(), number)
            unwound.append(args)

    signal.signal(signal.SIGHUP, signal.SIG_DFL if heard else signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(cli, "app", app)
    assert run("upscale") == end
    assert unwound == [["upscale"]]


def test_a_missing_extra_is_named(failing: Callable[[BaseException], tuple[int, str]]) -> None:
    code, err = failing(ModuleNotFoundError("no", name="lightning_fabric.strategies"))
    assert code == 2
    assert err == (
        "error: this needs lightning_fabric; install it with: pip install 'prosr[train]'\n"
    )


@pytest.mark.parametrize(
    "error",
    [MemoryError("no"), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")],
)
def test_a_lack_of_memory_is_not_a_bug(
    failing: Callable[[BaseException], tuple[int, str]], error: Exception
) -> None:
    code, err = failing(error)
    assert code == 2
    assert err.startswith("error: out of memory; ")


def test_a_bug_is_one_line_and_exits_with_70(
    failing: Callable[[BaseException], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROSR_DEBUG", raising=False)
    code, err = failing(KeyError("first\nsecond"))
    assert code == 70
    assert err.startswith("error: unexpected KeyError: ")
    assert err.count("\n") == 1
    assert "PROSR_DEBUG=1" in err


def test_a_bug_shows_its_traceback_when_asked(
    failing: Callable[[BaseException], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROSR_DEBUG", "1")
    with pytest.raises(KeyError):
        failing(KeyError("first"))


def test_a_closed_pipe_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "prosr", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode in {0, 1}


def test_a_file_that_the_system_refuses_is_not_a_bug(run: Run) -> None:
    name = "y" * 300
    code, _, err = run("upscale", "docs/sample.png", "--output", f"{name}.png")
    assert (code, err) == (2, f"error: {name}.png: File name too long\n")


def test_a_missing_file_is_named(run: Run, tmp_path: Path) -> None:
    code, out, err = run("convert", str(tmp_path / "no.pth"), str(tmp_path / "out.safetensors"))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "no.pth" in err
    assert err.count("\n") == 1


def test_an_interruption_while_the_command_line_is_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def interrupted(name: str, *rest: Any) -> Any:
        if name == "prosr.cli":
            raise KeyboardInterrupt
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    with pytest.raises(SystemExit) as stop:
        __main__.main()
    assert (stop.value.code, capsys.readouterr().err) == (130, "interrupted\n")
