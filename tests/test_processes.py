"""Several processes train what one process trains, and end together."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feature_files import write_distilled
from prosr.errors import DataError, ProSRError
from prosr.training.loop import named_failures
from prosr.training.run import stored_state

RECIPE = """\
model = "prosr-xs"
steps = 6
batch = 4
patch = [6, 4, 2]
learning_rate = 1e-3
log_every = 1
precision = "fp32"
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "pictures" / "a.png")
    (tmp_path / "r.toml").write_text(RECIPE)
    return tmp_path


def train(work: Path, run: str, processes: int, *more: str) -> list[dict[str, float]]:
    words = ["train", str(work / "r.toml"), "--data", str(work / "pictures"), "--workers", "0"]
    words += ["--run", str(work / run), "--devices", str(processes), *more]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "prosr", *words]
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=280)
    lines = (work / run / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def start(work: Path, *more: str, after: int = 0, wait: bool = True) -> subprocess.Popen[str]:
    """Start or resume a training that saves after each step; wait for a step `after` this one."""
    recipe = RECIPE.replace("steps = 6", "steps = 100000") + "save_minutes = 1e-6\n"
    (work / "long.toml").write_text(recipe)
    words = ["train", str(work / "long.toml"), "--data", str(work / "pictures")]
    words += ["--run", str(work / "long"), *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "prosr", *words],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 280
    while wait and stored_step(work) <= after and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    return process


def stored_step(work: Path) -> int:
    return stored_state(work / "long")[0].step


def children(pid: int) -> list[int]:
    """Child processes of this one, in the order of their start."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    if not listed.exists():
        pytest.skip("this system does not list a process's children")
    return [int(child) for child in listed.read_text().split()]


def losses(log: list[dict[str, float]]) -> list[tuple[str, float]]:
    return [(key, value) for line in log for key, value in line.items() if key.startswith("loss")]


@pytest.mark.timeout(900)
def test_two_processes_share_a_batch_and_exchange_checkpoints(work: Path) -> None:
    one, two = losses(train(work, "one", 1)), losses(train(work, "two", 2))
    assert len(one) == 6
    assert [key for key, _ in one] == [key for key, _ in two]
    assert [value for _, value in two] == pytest.approx([value for _, value in one], rel=1e-5)

    train(work, "mixed", 2, "--max-minutes", "0")
    mixed = losses(train(work, "mixed", 1))
    assert [key for key, _ in mixed] == [key for key, _ in one]
    assert [value for _, value in mixed] == pytest.approx([v for _, v in one], rel=1e-5)


def test_two_processes_train_against_one_discriminator(work: Path) -> None:
    features = write_distilled(work / "features.safetensors")
    text = RECIPE.replace('"prosr-xs"', '"progansr-xs"').replace("[6, 4, 2]", "[9, 5, 3]")
    text += f"""
    [adversarial]
    discriminator = "progansr-xs"
    features = "distilled"
    file = '{features}'
    """
    (work / "r.toml").write_text(text)
    one, two = train(work, "one", 1), train(work, "two", 2)
    for key in ("loss", "d_real", "d_gradient", "share_pool4", "drift_r"):
        ours, theirs = (
            [value for line in log for name, value in line.items() if name.startswith(f"{key}_x")]
            for log in (one, two)
        )
        assert len(ours) == 6
        # The drift is a small difference of large numbers, in 8-bit levels.
        assert theirs == pytest.approx(ours, rel=1e-3, abs=1e-3 if key == "drift_r" else 1e-4)


@pytest.mark.timeout(600)
def test_a_killed_process_ends_the_run_with_one_line_and_nothing_lost(work: Path) -> None:
    run = start(work, "--devices", "2", "--workers", "0")
    os.kill(children(run.pid)[1], signal.SIGKILL)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 2
    (line,) = said.strip().splitlines()
    # The other process may notice first.
    assert re.match(
        "error: (training process 2 of 2 was killed .SIGKILL|another training pro)", line
    )
    assert line.endswith("run the same command to resume [ProSRError]")
    assert stored_step(work) > 0


@pytest.mark.timeout(600)
def test_a_signal_makes_all_processes_save_and_stop_and_the_same_command_resumes(
    work: Path,
) -> None:
    # What runs in the background was started to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    steps = [0]
    for number, code, said in (("SIGTERM", 143, "terminated\n"), ("SIGINT", 130, "interrupted\n")):
        run = start(work, "--devices", "2", "--workers", "1", after=steps[-1])
        processes = children(run.pid)
        run.send_signal(signal.Signals[number])
        assert run.communicate(timeout=120)[1] == said
        assert run.returncode == code
        assert not any(Path(f"/proc/{pid}").exists() for pid in processes)
        steps.append(stored_step(work))
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("seconds", [0, 2])
def test_a_signal_ends_processes_that_do_not_train_yet(work: Path, seconds: int) -> None:
    run = start(work, "--devices", "2", wait=False)
    deadline = time.monotonic() + 60
    while len(children(run.pid)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(seconds)
    processes = children(run.pid)
    run.terminate()
    assert run.communicate(timeout=20)[1] == "terminated\n"
    assert run.returncode == 143
    assert not any(Path(f"/proc/{pid}").exists() for pid in processes)


def test_an_error_in_every_process_is_printed_once(work: Path) -> None:
    words = ["train", str(work / "r.toml"), "--data", str(work / "pictures"), "--devices", "3"]
    done = subprocess.run(
        [sys.executable, "-m", "prosr", *words, "--run", str(work / "run")],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 2
    assert re.fullmatch(r"error: a batch of 4 cannot be shared by 3 processes .*\n", done.stderr)


@pytest.mark.timeout(600)
def test_a_killed_data_worker_ends_the_run_with_one_line(work: Path) -> None:
    run = start(work, "--workers", "1")
    os.kill(children(run.pid)[-1], signal.SIGKILL)
    _, said = run.communicate(timeout=120)
    assert run.returncode == 2
    (line,) = said.strip().splitlines()
    assert "a process that prepares batches was killed" in line
    assert "run the same command to resume" in line


@pytest.mark.timeout(600)
def test_the_processes_end_with_their_launcher(work: Path) -> None:
    run = start(work, "--devices", "2", "--workers", "0")
    trained = children(run.pid)
    run.kill()
    run.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in trained):
        assert time.monotonic() < deadline, "they continue to train"
        time.sleep(0.1)


def test_an_error_of_a_data_worker_is_one_line() -> None:
    with pytest.raises(DataError, match=r"^a\.png was changed; start again$"), named_failures(1):
        raise DataError(
            "Caught DataError in DataLoader worker process 0.\nOriginal Traceback …\n"
            "prosr.errors.DataError: a.png was changed; start again\n"
        )


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), EOFError()])
def test_a_data_worker_killed_while_sending_a_batch_is_named(error: Exception) -> None:
    with pytest.raises(DataError, match="prepares batches was killed"), named_failures(1):
        raise error


def test_other_errors_do_not_change() -> None:
    with pytest.raises(RuntimeError, match="Connection closed"), named_failures(1):
        raise RuntimeError("Connection closed by peer")
    with pytest.raises(ProSRError, match="another training process has ended"), named_failures(2):
        raise RuntimeError("[gloo/transport/tcp/pair.cc] Connection closed by peer")
