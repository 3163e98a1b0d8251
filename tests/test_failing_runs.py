"""Runs that diverge, are killed, or find their folder changed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from prosr.checkpoints.weights import load_state, save_state
from prosr.data.benchmarks import open_benchmark
from prosr.errors import CheckpointError, DataError, ImageError
from prosr.training import loop
from prosr.training import session as sessions
from prosr.training.loop import train
from prosr.training.objectives import DivergedError
from prosr.training.session import Session, prepare
from tiny_runs import RECIPE, Silent, go, job, make_pictures, nothing, session


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return make_pictures(tmp_path / "pictures")


def test_nothing_is_saved_after_a_skipped_step(pictures: Path, tmp_path: Path) -> None:
    made = session(pictures, tmp_path / "run")
    made.run.progress.skipped_in_a_row = 1
    made.run.save()
    assert not (tmp_path / "run" / "state.safetensors").exists()


def test_a_run_ends_after_too_many_skipped_steps(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "MOST_SKIPPED", 3)
    made = prepare(replace(job(pictures, tmp_path / "run"), skip_nonfinite=True), nothing)
    with torch.no_grad():
        next(made.run.net.parameters()).fill_(float("nan"))
    watcher = Silent()
    with pytest.raises(DivergedError, match="step 4"):
        train(made, watcher, lambda: False)
    assert len(watcher.reasons) == 3


def test_a_resumed_run_keeps_its_precision(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "bf16_is_faster", lambda: True)
    first = session(pictures, tmp_path / "run")
    go(first, until=2)
    monkeypatch.setattr(sessions, "bf16_is_faster", lambda: False)
    second = session(pictures, tmp_path / "run")
    assert second.run.progress.precision == "bf16"
    assert all(any("cpu, bf16, " in note for note in one.notes) for one in (first, second))
    assert second.run.card["precision"] == "bf16"


def test_a_run_resumes_in_another_precision_if_that_is_set(pictures: Path, tmp_path: Path) -> None:
    def in_precision(precision: str) -> Session:
        recipe = RECIPE.model_validate(RECIPE.model_dump() | {"precision": precision})
        return session(pictures, tmp_path / "run", recipe)

    go(in_precision("bf16"), until=2)
    second = in_precision("fp32")
    assert "the run's earlier steps were in bf16" in second.notes
    go(second, until=3)
    assert in_precision("auto").run.progress.precision == "fp32"


def test_changed_training_pictures_are_noted(pictures: Path, tmp_path: Path) -> None:
    said = "the training pictures differ from those of this run's earlier steps"
    go(session(pictures, tmp_path / "run"), until=2)
    assert said not in session(pictures, tmp_path / "run").notes
    (pictures / "2.png").write_bytes((pictures / "1.png").read_bytes())
    assert said in session(pictures, tmp_path / "run").notes


def test_a_validation_picture_that_cannot_be_scored_is_refused_before_the_first_step(
    pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no picture")
    wrong = replace(job(pictures, tmp_path / "run"), validation=open_benchmark(tmp_path / "bad"))
    with pytest.raises(ImageError, match=r"a\.png: not a picture"):
        prepare(wrong, nothing)


def test_if_no_picture_can_be_read_the_first_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 are unreadable; the first: .*a\.png"):
        prepare(replace(job(tmp_path / "bad", tmp_path / "run"), validation=None), nothing)


@pytest.mark.parametrize("progress", [None, "{", '{"stepp": 1}'])
def test_a_state_without_progress_is_refused_with_the_remedy(
    pictures: Path, tmp_path: Path, progress: str | None
) -> None:
    folder = tmp_path / "run"
    go(session(pictures, folder), until=2)
    tensors, _ = load_state(folder / "state.safetensors")
    header = {} if progress is None else {"progress": progress}
    save_state(folder / "state.safetensors", tensors, header)
    with pytest.raises(CheckpointError, match="use another --run folder, with --start-from"):
        session(pictures, folder)


def test_half_written_files_of_a_killed_process_are_removed(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".state.0123abcd.safetensors").write_bytes(b"half")
    (folder / ".mine.safetensors").write_bytes(b"whole")
    session(pictures, folder)
    assert [path.name for path in folder.glob(".*")] == [".mine.safetensors"]
