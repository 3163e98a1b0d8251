"""Atomic writing: the old file or the new one, never a part of one."""

from pathlib import Path

import pytest

from prosr.errors import ProSRError
from prosr.files import replacing, write_text


def test_replaces_an_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_text(path, "new ü")
    assert path.read_text(encoding="utf-8") == "new ü"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProSRError, match=r"file/a\.txt: cannot be written \(.+\)"):
        write_text(tmp_path / "file" / "a.txt", "new")


def test_temporary_name_keeps_the_suffix_and_fits_long_names(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 100 + ".png")
    with replacing(path) as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"x")
    assert path.exists()
