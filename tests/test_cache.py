"""The user's cache: a folder is made once, and a cache that cannot be written is no obstacle."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread

import pytest

from prosr import cache
from prosr.cache import cache_folder, cached_folder
from prosr.errors import ProSRError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where cached folders go, in a cache of the test's own."""
    monkeypatch.setenv("PROSR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_spare_folder", lambda: tmp_path / "spare")
    return tmp_path / "cache" / "graphs"


def writer(made: list[Path]) -> Callable[[Path], None]:
    def make(new: Path) -> None:
        made.append(new)
        (new / "graph").write_text("graph")

    return make


def test_a_folder_is_made_once(folder: Path) -> None:
    made: list[Path] = []
    assert [cached_folder("a", writer(made)) for _ in range(2)] == [folder / "a"] * 2
    assert len(made) == 1
    assert (folder / "a" / "graph").read_text() == "graph"
    assert os.listdir(folder) == ["a"]


def test_a_folder_that_could_not_be_made_is_not_there(folder: Path) -> None:
    def fail(new: Path) -> None:
        (new / "graph").write_text("half")
        raise ValueError

    with pytest.raises(ValueError):
        cached_folder("a", fail)
    assert not list(folder.iterdir())


def test_two_that_make_a_folder_at_once_share_the_result(folder: Path) -> None:
    made: list[Path] = []
    results: list[Path] = []
    together = Barrier(2)

    def make(new: Path) -> None:
        writer(made)(new)
        together.wait(60)

    threads = [Thread(target=lambda: results.append(cached_folder("a", make))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [folder / "a"] * 2
    assert len(made) == 2
    assert os.listdir(folder) == ["a"]


def test_a_cache_that_cannot_be_written_is_done_without(folder: Path) -> None:
    folder.parent.touch()
    made: list[Path] = []
    first, second = (cached_folder("a", writer(made)) for _ in range(2))
    assert first == second != folder / "a"
    assert (first / "graph").exists() and len(made) == 1


@pytest.mark.skipif(not hasattr(os, "setresuid") or os.getuid() != 0, reason="needs two users")
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_the_cache_of_another_user_is_used_or_done_without(folder: Path, mode: int) -> None:
    made: list[Path] = []
    cached_folder("a", writer(made))
    place = folder.parent.parent
    (place / "spare").mkdir()
    (place / "spare").chmod(0o777)
    folder.parent.chmod(mode)
    for parent in (place, *place.parents[:-2]):
        parent.chmod(0o755)
    os.setresuid(65534, 65534, 0)
    try:
        found = cached_folder("a", writer(made))
        assert (found / "graph").read_text() == "graph"
    finally:
        os.setresuid(0, 0, 0)
    assert (found == folder / "a") == (mode == 0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know users otherwise")
@pytest.mark.parametrize("home", ["~", None])
def test_users_without_a_home_have_a_temporary_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str | None
) -> None:
    def of_platformdirs(*_: object, **__: object) -> Path:
        if home is None:
            raise RuntimeError("could not determine the home directory")
        return Path(home) / ".cache"

    monkeypatch.delenv("PROSR_CACHE")
    monkeypatch.setattr(cache, "user_cache_path", of_platformdirs)
    monkeypatch.setattr(cache, "_spare_folder", lambda: tmp_path)
    assert cache_folder() == tmp_path
    assert cached_folder("a", writer([])) == tmp_path / "graphs" / "a"


def test_a_full_disk_does_not_keep_a_folder_from_being_made(folder: Path) -> None:
    made: list[Path] = []

    def make(new: Path) -> None:
        writer(made)(new)
        if new.parent == folder:
            raise OSError(errno.ENOSPC, "No space left on device")

    path = cached_folder("a", make)
    assert path.parent != folder
    assert cached_folder("a", make) == path
    assert len(made) == 2
    assert not list(folder.iterdir())


def test_where_no_place_takes_it_the_error_has_the_remedy(folder: Path) -> None:
    def make(new: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ProSRError, match=r"No space left on device.*PROSR_CACHE") as refusal:
        cached_folder("a", make)
    assert "\n" not in str(refusal.value)


def test_the_least_recently_used_folders_are_deleted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_KEPT", 2)
    quantized = folder.parent / "int8"
    quantized.mkdir(parents=True)
    for age, name in enumerate(("a", "b", "c")):
        path = cached_folder(name, writer([]))
        if age < 2:
            os.utime(path, (age, age))
    assert set(os.listdir(folder)) == {"b", "c"}
    assert quantized.exists()


def test_a_used_folder_is_younger_than_an_unused_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_KEPT", 2)
    for age, name in enumerate(("a", "b")):
        os.utime(cached_folder(name, writer([])), (age, age))
    cached_folder("a", writer([]))
    cached_folder("c", writer([]))
    assert set(os.listdir(folder)) == {"a", "c"}


def test_what_another_process_deletes_or_writes_meanwhile_is_no_trouble(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_KEPT", 1)
    folder.mkdir(parents=True)
    (folder / "gone").symlink_to(folder / "nowhere")
    (folder / ".being-written").mkdir()
    assert cached_folder("kept", writer([])) == folder / "kept"
    assert (folder / ".being-written").exists()


def test_a_cache_that_is_read_only_serves_what_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cached_folder("a", writer([]))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refuse)
    assert cached_folder("a", writer([])) == path
