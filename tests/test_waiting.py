"""Signals: postponed while a library is imported, and heard once when sent twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import prosr
from prosr.cli.console import stop_on_signals

IMPORTED = "import os, signal\nos.kill(os.getpid(), signal.{name})\nprint('whole')\n"
PROGRAM = """\
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from prosr import cli
from prosr.cli.signals import signals_wait
def app(**words):
    with signals_wait():
        import openvino
cli.app = app
cli.main()
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs masks of signals")
@pytest.mark.parametrize(
    ("name", "code", "line"), [("SIGINT", 130, "interrupted\n"), ("SIGTERM", 143, "terminated\n")]
)
def test_a_signal_waits_for_an_import(tmp_path: Path, name: str, code: int, line: str) -> None:
    (tmp_path / "openvino.py").write_text(IMPORTED.format(name=name))
    sources = str(Path(prosr.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), sources))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("whole\n", line)
    assert done.returncode in (code, -signal.Signals[name])


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
def test_two_signals_at_once_stop_a_training_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # What runs in the background, or under nohup, was started to ignore them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with stop_on_signals() as interrupted:
        assert interrupted() == 0
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        assert interrupted() == signal.SIGTERM
        monkeypatch.setattr("prosr.cli.console.PATIENCE", -1.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
