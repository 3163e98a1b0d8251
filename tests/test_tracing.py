from __future__ import annotations

import copy
import errno
import os
from pathlib import Path

import pytest
import torch
from prosr.inference.tracing import cached, identity

from prosr.checkpoints.weights import build
from prosr.errors import InferenceError
from prosr.inference import tracing
from prosr.layouts import ProSRConfig

SMALL = ProSRConfig(features=6, growth=(4, 4), dcus=((2,), (1,)), residual=True)


def small(**changes: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(SMALL.model_copy(update=changes))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROSR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_equal_networks_have_one_identity() -> None:
    assert identity(small()) == identity(small())


@pytest.mark.parametrize(
    "changes", [{"value_range": 1.0}, {"padding": "zeros"}, {"residual_scale": 0.5}]
)
def test_settings_make_another_network_of_the_same_weights(changes: dict[str, object]) -> None:
    assert identity(small(**changes)) != identity(small())


def test_one_weight_makes_another_network() -> None:
    net, other = small(), small()
    next(other.parameters()).data.view(-1)[0] += 1e-3
    assert identity(net) != identity(other)


def test_other_code_makes_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = small()
    before = identity(net)
    changed = tmp_path / "generator.py"
    changed.write_text("# not what it was\n")
    monkeypatch.setattr("prosr.nets.generator.__file__", str(changed))
    assert identity(net) != before


def test_a_file_is_made_once(folder: Path) -> None:
    made = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("graph")

    paths = [cached(folder / "a.onnx", make) for _ in range(2)]
    assert paths == [folder / "a.onnx"] * 2
    assert len(made) == 1
    assert paths[0].read_text() == "graph"


def test_a_file_that_could_not_be_made_is_not_there(folder: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise ValueError

    with pytest.raises(ValueError):
        cached(folder / "a.onnx", fail)
    assert not list(folder.iterdir())


def test_a_cache_that_cannot_be_written_is_done_without(folder: Path) -> None:
    folder.touch()
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.touch()

    paths = [cached(folder / "a.onnx", make) for _ in range(2)]
    assert paths[0] == paths[1] and paths[0].exists() and len(made) == 1


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROSR_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    path = tracing.cache_folder() / "home.onnx"
    assert cached(path, lambda path: path.touch()) != path


def test_a_full_disk_does_not_keep_a_network_from_being_traced(folder: Path) -> None:
    def make(path: Path) -> None:
        if path.parent == folder:
            raise OSError(28, "No space left on device")
        path.touch()

    path = cached(folder / "full.onnx", make)
    assert path.exists() and path.parent != folder
    assert cached(folder / "full.onnx", make) == path
    assert not list(folder.iterdir())


def test_where_nothing_can_be_kept_the_error_says_what_helps(folder: Path) -> None:
    def make(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(InferenceError, match=r"No space left on device.*PROSR_CACHE"):
        cached(folder / "nowhere.onnx", make)


def test_what_was_not_used_for_longest_is_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_KEPT", 2)
    for age, name in enumerate(("a.onnx", "b.onnx", "c.onnx")):
        path = cached(folder / name, lambda path: path.touch())
        if age < 2:
            os.utime(path, (age, age))
    assert {path.name for path in folder.iterdir()} == {"b.onnx", "c.onnx"}


def test_what_another_process_deletes_meanwhile_is_no_trouble(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "_KEPT", 1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gone.onnx").symlink_to(folder / "nowhere")
    (folder / ".being-written.onnx").touch()
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.touch()

    assert cached(folder / "kept.onnx", make) == folder / "kept.onnx"
    assert len(made) == 1
    assert (folder / ".being-written.onnx").exists()


def test_a_cache_that_is_read_only_serves_what_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cached(folder / "kept.onnx", lambda path: path.touch())

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refuse)
    assert cached(path, lambda path: None) == path


@pytest.mark.parametrize("training", [True, False])
def test_a_network_in_use_is_left_as_it_is(tmp_path: Path, training: bool) -> None:
    net = small().train(training)
    before = copy.deepcopy(net.state_dict())
    tracing.trace(net, lambda x: net(x, 2), 3, tmp_path / "a.onnx")
    assert all(module.training == training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
