"""Runs: the loop, the folder, and resuming bit for bit."""

import copy
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data._utils import signal_handling

from prosr.checkpoints.finding import find
from prosr.checkpoints.weights import load_state, save_weights
from prosr.config import Recipe, Schedule, Simultaneous, Single
from prosr.data.benchmarks import Benchmark
from prosr.data.patches import prepared
from prosr.data.pipelines import Degradation
from prosr.errors import CheckpointError, ConfigError, DataError, ProSRError
from prosr.layouts import validated
from prosr.scales import SCALES
from prosr.training.log import RunLog
from prosr.training.loop import train
from prosr.training.objectives import DivergedError, StepResult
from prosr.training.run import open_run
from prosr.training.session import prepare
from tiny_runs import RECIPE, Silent, go, job, make_pictures, nothing, session


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return make_pictures(tmp_path / "pictures")


def states_are_equal(one: Path, two: Path) -> bool:
    a, b = (load_state(folder / "state.safetensors")[0] for folder in (one, two))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("stop", "changes"),
    [
        (1, {}),
        (2, {"muon": 0.02}),
        (4, {"degradation": Degradation(kind="real")}),
        (5, {}),
        (7, {"muon": 0.02}),
    ],
)
def test_stopped_and_resumed_equals_uninterrupted_bit_for_bit(
    pictures: Path, tmp_path: Path, stop: int, changes: dict[str, object]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    recipe = RECIPE.model_copy(update=changes)
    watcher = go(session(pictures, whole, recipe))
    first = go(session(pictures, parts, recipe), until=stop)
    second = go(session(pictures, parts, recipe, workers=1))
    assert first.losses + second.losses == watcher.losses
    assert states_are_equal(whole, parts)


def test_a_run_begun_on_one_device_goes_on_on_another(pictures: Path, tmp_path: Path) -> None:
    """A device that makes the batches, here the CPU, and the processes of the host take turns."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    losses = go(session(pictures, whole)).losses
    in_parts = []
    for until, device in ((2, None), (5, torch.device("cpu")), (8, None)):
        begun = session(pictures, parts)
        begun.sampler.device = device
        in_parts += go(begun, until).losses
    assert in_parts == losses
    assert states_are_equal(whole, parts)


@pytest.mark.parametrize(
    "model,growth,schedule",
    [
        ("table1-block", 2, Single(scale=4)),
        ("table1-curriculum", [2, 2, 2], Simultaneous()),
        ("table3-laplacian", [2, 2, 2], RECIPE.schedule),
    ],
)
def test_every_kind_of_net_and_schedule_resumes_bit_for_bit(
    pictures: Path, tmp_path: Path, model: str, growth: object, schedule: Schedule
) -> None:
    layout = {"features": 4, "growth": growth}
    changes = {"model": model, "layout": layout, "schedule": schedule}
    recipe = RECIPE.model_copy(update=changes)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    watcher = go(session(pictures, whole, recipe))
    first = go(session(pictures, parts, recipe), until=5)
    second = go(session(pictures, parts, recipe))
    assert first.losses + second.losses == watcher.losses
    assert states_are_equal(whole, parts)


def test_killed_and_resumed_equals_uninterrupted(pictures: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'model = "prosr-xs"\nsteps = 60\nbatch = 2\npatch = [6, 4, 2]\nsave_minutes = 1e-6\n'
        'precision = "fp32"\n'  # "auto" depends on what else the machine does
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    def command(run: Path) -> list[str]:
        words = ["train", str(recipe), "--data", str(pictures), "--run", str(run)]
        return [sys.executable, "-m", "prosr", *words]

    process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (killed / "state.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    interrupted_at = json.loads(load_state(killed / "state.safetensors")[1]["progress"])["step"]
    assert 0 < interrupted_at < 60
    for run in (killed, whole):
        subprocess.run(command(run), check=True, stdout=subprocess.DEVNULL)
    assert states_are_equal(whole, killed)
    steps = [
        [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
        for run in (whole, killed)
    ]
    assert steps[0] == steps[1]


def test_pytorchs_signal_handler_for_data_workers_is_removed(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: list[object] = []

    class Watching(Silent):
        def stepped(self, step: int, result: StepResult, rate: float) -> None:
            handlers.append(signal.getsignal(signal.SIGCHLD))

    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        train(session(pictures, tmp_path / "run", workers=1), Watching(), lambda: False)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert handlers == [signal.SIG_DFL] * RECIPE.steps


def test_a_degraded_training_is_validated_on_degraded_inputs(
    pictures: Path, tmp_path: Path
) -> None:
    scores = {}
    for kind in ("bicubic", "jpeg"):
        changes = {"steps": 1, "learning_rate": 1e-12, "degradation": {"kind": kind}}
        recipe = validated(Recipe, RECIPE.model_dump() | changes)
        watched = go(session(pictures, tmp_path / kind, recipe))
        scores[kind] = watched.scores[1][2]
        assert watched.protocol == {"bicubic": "paper", "jpeg": "paper+jpeg-75"}[kind]
    assert scores["jpeg"] < scores["bicubic"] - 0.01


def test_the_recipes_norm_is_that_of_the_loss(pictures: Path, tmp_path: Path) -> None:
    losses = []
    for norm in (1, 2):
        recipe = validated(Recipe, RECIPE.model_dump() | {"steps": 1, "norm": norm})
        losses += go(session(pictures, tmp_path / str(norm), recipe)).losses
    assert losses[0] < losses[1]  # a mean is at most the root of the mean of squares


def test_an_interrupted_validation_is_repeated_when_the_run_resumes(
    pictures: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    scores = go(session(pictures, whole)).scores
    stopped, first = session(pictures, parts), Silent()
    train(stopped, first, lambda: stopped.run.progress.step >= 4, lambda: True)
    second = go(session(pictures, parts))
    assert not first.scores
    assert second.scores == scores
    assert states_are_equal(whole, parts)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_data_workers_ignore_the_signals_of_their_group(
    pictures: Path, tmp_path: Path, number: signal.Signals
) -> None:
    batches = prepared(session(pictures, tmp_path / "run").sampler, range(8), workers=1)
    first = next(batches)
    for worker in multiprocessing.active_children():
        assert worker.pid is not None
        os.kill(worker.pid, number)
    assert [first.step, *(batch.step for batch in batches)] == list(range(8))


def test_a_finished_run_has_weights_log_and_scores(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    watcher = go(session(pictures, folder))
    assert set(watcher.scores) == {4, 8}
    assert set(watcher.scores[8]) == set(SCALES)
    for name in ("last", "best"):
        weights = find(folder / f"{name}.safetensors")
        assert weights.card["steps"] == 8
        assert weights.card["recipe"]["batch"] == 2
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "train"] == list(range(1, 9))
    assert any((folder / "tensorboard").iterdir())
    assert go(session(pictures, folder)).losses == []


def test_a_black_page_in_the_validation_changes_no_score_and_no_choice(
    pictures: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (48, 48)).save(tmp_path / "black.png")
    asked = job(pictures, tmp_path / "run")
    assert asked.validation is not None
    both = Benchmark("both", (*asked.validation.paths, tmp_path / "black.png"))
    alone = go(session(pictures, tmp_path / "alone"))
    with_page = go(prepare(replace(asked, validation=both), nothing))
    assert with_page.scores == alone.scores
    best = (find(tmp_path / name / "best.safetensors").sha256 for name in ("run", "alone"))
    assert len(set(best)) == 1


def test_numbers_that_are_not_finite_are_null_in_the_log(tmp_path: Path) -> None:
    with closing(RunLog(tmp_path, 0)) as log:
        log.write("train", 1, {"a": math.inf, "b": math.nan, "c": 1.5})
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    values = {"kind": "train", "step": 1, "a": None, "b": None, "c": 1.5}
    assert json.loads(line, parse_constant=pytest.fail) == values


def test_training_lowers_the_loss(pictures: Path, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"steps": 60, "schedule": RECIPE.schedule})
    losses = go(session(pictures, tmp_path / "run", recipe), until=6).losses
    again = go(session(pictures, tmp_path / "run", recipe), until=60).losses
    assert min(again) < min(losses)


def test_a_run_can_start_from_weights_and_its_card_names_them(
    pictures: Path, tmp_path: Path
) -> None:
    go(session(pictures, tmp_path / "first"), until=2)
    weights = tmp_path / "first" / "last.safetensors"
    stored = find(weights)
    hours = {"hours": 1.5, "hours before": 0.25}
    save_weights(weights, stored.net, stored.card | hours)
    asked = replace(job(pictures, tmp_path / "second"), start_from=weights)
    run = prepare(asked, nothing).run
    for name, value in stored.net.state_dict().items():
        assert torch.equal(run.net.state_dict()[name], value)
        assert torch.equal(run.average.state_dict()[name], value)
    assert run.card["started from"] == stored.sha256
    assert run.card["hours before"] == 1.75


def test_pretrained_scales_are_not_opened_or_blended_again(pictures: Path, tmp_path: Path) -> None:
    """Also in a run that is resumed, and when its weights start another run."""
    go(session(pictures, tmp_path / "whole"))
    start = tmp_path / "whole" / "last.safetensors"
    assert find(start).card["scales"] == [2, 4, 8]
    seen: list[float] = []
    for name, stops in (("once", ()), ("stopped", (1,))):
        asked = replace(job(pictures, tmp_path / name), start_from=start)
        for until in (*stops, 1000):
            made = prepare(asked, nothing)
            before = copy.deepcopy(made.run.net.state_dict())
            made.run.open_scales((4, 8))
            after = made.run.net.state_dict()
            assert all(torch.equal(value, before[name]) for name, value in after.items())
            made.run.net.register_forward_hook(lambda m, inputs, _: seen.append(inputs[2]))
            go(made, until)
            assert find(tmp_path / name / "last.safetensors").card["scales"] == [2, 4, 8]
    assert len(seen) == 2 * RECIPE.steps and set(seen) == {1.0}
    assert states_are_equal(tmp_path / "once", tmp_path / "stopped")
    with pytest.raises(ConfigError, match=r"with start_from = .* give the same again"):
        session(pictures, tmp_path / "once")


def test_scales_that_are_not_pretrained_are_opened(pictures: Path, tmp_path: Path) -> None:
    go(session(pictures, tmp_path / "first"), until=1)
    weights = tmp_path / "first" / "last.safetensors"
    assert find(weights).card["scales"] == [2]
    run = prepare(replace(job(pictures, tmp_path / "second"), start_from=weights), nothing).run
    run.open_scales((4,))
    state = run.net.state_dict()
    assert torch.equal(state["v.4.weight"], state["v.2.weight"])


def test_another_recipe_does_not_resume_a_run(pictures: Path, tmp_path: Path) -> None:
    go(session(pictures, tmp_path / "run"), until=1)
    other = RECIPE.model_copy(update={"batch": 4})
    with pytest.raises(ConfigError, match="batch = 2, not 4"):
        session(pictures, tmp_path / "run", other)


def test_a_damaged_state_is_named(pictures: Path, tmp_path: Path) -> None:
    go(session(pictures, tmp_path / "run"), until=1)
    (tmp_path / "run" / "state.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"state\.safetensors.*use another --run folder"):
        session(pictures, tmp_path / "run")


def test_a_failed_save_leaves_the_last_state(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    go(session(pictures, folder), until=2)
    before = (folder / "state.safetensors").read_bytes()

    def crash(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", crash)
    run = open_run(folder, RECIPE, {}, torch.device("cpu"))
    with pytest.raises(ProSRError, match=r"cannot be written \(disk full\)"):
        run.save()
    assert (folder / "state.safetensors").read_bytes() == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_diverging_step_names_its_pictures_and_changes_nothing(
    pictures: Path, tmp_path: Path
) -> None:
    made = session(pictures, tmp_path / "run")
    with torch.no_grad():
        next(made.run.net.parameters()).fill_(float("nan"))
    others = [p.clone() for p in list(made.run.net.parameters())[1:]]
    with pytest.raises(DivergedError, match=r"step 1, scale 2: .*\.png"):
        go(made)
    assert all(
        torch.equal(a, b) for a, b in zip(others, list(made.run.net.parameters())[1:], strict=True)
    )
    assert not (tmp_path / "run" / "state.safetensors").exists()


def test_steps_that_diverge_can_be_skipped_and_are_counted(pictures: Path, tmp_path: Path) -> None:
    made = prepare(replace(job(pictures, tmp_path / "run"), skip_nonfinite=True), nothing)
    poisoned = made.run.net.register_forward_hook(
        lambda module, inputs, output: output * float("nan")
    )
    watcher = go(made, until=2)
    assert made.run.progress.skipped == 2
    assert len(watcher.reasons) == 2 and not watcher.losses
    poisoned.remove()
    assert len(go(made, until=3).losses) == 1
    assert session(pictures, tmp_path / "run").run.progress.skipped == 2


def test_an_empty_folder_is_refused_with_the_remedy(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    asked = replace(job(pictures, tmp_path / "run"), data=[tmp_path / "empty"])
    with pytest.raises(DataError, match="empty: no pictures to train on; add some"):
        prepare(asked, nothing)


def test_unreadable_pictures_are_named_in_the_notes(pictures: Path, tmp_path: Path) -> None:
    (pictures / "bad.png").write_bytes(b"no picture")
    notes = "\n".join(session(pictures, tmp_path / "run").notes)
    assert "bad.png" in notes
    assert "2 pictures, 1 unreadable" in notes


def test_one_step_average_follows_the_weights(pictures: Path, tmp_path: Path) -> None:
    made = session(pictures, tmp_path / "run")
    before = [p.clone() for p in made.run.average.parameters()]
    go(made, until=1)
    decay = 0.1
    for old, average, new in zip(
        before, made.run.average.parameters(), made.run.net.parameters(), strict=True
    ):
        torch.testing.assert_close(average, decay * old + (1 - decay) * new)
