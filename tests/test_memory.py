"""Sizes, limits, and readings of memory."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from prosr.errors import ConfigError
from prosr.inference import memory
from prosr.inference.memory import LEAST, default_memory, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2G", 2e9),
        ("512M", 512e6),
        ("1.5 gb", 1.5e9),
        ("2000", 2000),
        ("1k", 1000),
        ("1T", 1e12),
        (f"{10**400}G", 2**60),
    ],
)
def test_sizes_are_read(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "2X", "-1G", "two", "1,5G"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a size; write for example 2G"):
        parse_size(text)


@pytest.mark.parametrize(
    ("free", "left", "default"),
    [
        (10 * 10**9, [], 5 * 10**9),
        (10 * 10**9, [10**15, 4 * 10**9], 2 * 10**9),
        (3 * 10**9, [4 * 10**9], 15 * 10**8),
        (10**9, [], LEAST),
        (10**10, [-5], LEAST),
    ],
)
def test_the_default_is_half_of_the_free_memory(
    monkeypatch: pytest.MonkeyPatch, free: int, left: list[int], default: int
) -> None:
    assert LEAST == 512_000_000
    monkeypatch.setattr(memory, "_left_by_cgroups", lambda: left)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))
    assert default_memory() == default


def group(folder: Path, limit: object, usage: int, cached: int, *, version: int) -> None:
    """Write a control group's files."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["memory.max", "memory.current", "inactive_file"]
    if version == 1:
        names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"]
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"inactive_file 1\n{names[2]} {cached}\nother 7\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "v2").write_text("0::/all/mine\n")
    (tmp_path / "v1").write_text("5:cpu,cpuacct:/x\n4:memory:/all/mine\n0::/\n")
    return tmp_path


def test_the_limits_of_a_group_and_those_above_it_count(root: Path) -> None:
    group(root / "all" / "mine", "max", 100, 0, version=2)
    group(root / "all", 1000, 300, 50, version=2)
    assert list(memory._left_by_cgroups(root, root / "v2")) == [750]
    group(root / "all" / "mine", 600, 100, 0, version=2)
    assert list(memory._left_by_cgroups(root, root / "v2")) == [500, 750]


def test_the_limits_of_version_1_count(root: Path) -> None:
    group(root / "memory" / "all" / "mine", 900, 200, 30, version=1)
    group(root / "memory", 2**63 - 4096, 5000, 0, version=1)
    assert list(memory._left_by_cgroups(root, root / "v1")) == [730, 2**63 - 4096 - 5000]


def test_a_container_sees_its_limits_at_the_mount(root: Path) -> None:
    group(root, 1000, 300, 0, version=2)
    assert list(memory._left_by_cgroups(root, root / "v2")) == [700]


def test_a_group_without_statistics_has_its_limit_still(root: Path) -> None:
    group(root, 1000, 300, 0, version=2)
    (root / "memory.stat").unlink()
    assert list(memory._left_by_cgroups(root, root / "v2")) == [700]


def test_systems_without_groups_have_no_limit(tmp_path: Path) -> None:
    assert list(memory._left_by_cgroups(tmp_path, tmp_path / "none")) == []


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems keep nothing")
def test_freed_memory_is_kept_until_it_is_released() -> None:
    code = """
import sys, numpy
import psutil
from prosr.inference.memory import release_freed_memory, reuse_freed_memory
resident_memory = lambda: psutil.Process().memory_info().rss
reuse_freed_memory()
block = numpy.ones(50_000_000, numpy.float32)
full = resident_memory()
del block
kept = resident_memory()
release_freed_memory()
sys.exit(f"{full} {kept} {resident_memory()}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    full, kept, released = map(int, done.stderr.split())
    assert full - kept < 10_000_000
    assert kept - released > 190_000_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems keep nothing")
def test_an_engine_returns_the_memory_of_its_last_tile() -> None:
    code = """
import sys, numpy
import psutil
import prosr
upscaler = prosr.load("prosr-xs", max_memory=2_000_000_000, engine="openvino")
upscaler.upscale(numpy.zeros((256, 256, 3), numpy.uint8), 4)
full = psutil.Process().memory_info().rss
upscaler._engine.release()
sys.exit(f"{full} {psutil.Process().memory_info().rss}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    full, released = map(int, done.stderr.split())
    assert full - released > 50_000_000
