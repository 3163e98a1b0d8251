from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from prosr.errors import ConfigError
from prosr.inference.memory import observe, parse_size


def test_the_peak_of_a_chain_is_that_of_two_neighbours() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 16, 1), nn.Conv2d(16, 2, 1))
    cost = observe(net, torch.rand(1, 3, 10, 10))
    assert cost.bytes == 100 * 4 * (8 + 16)
    assert cost.multiply_adds == 100 * (3 * 8 + 8 * 16 + 16 * 2)


def test_views_and_changes_in_place_take_no_memory() -> None:
    x = torch.rand(1, 3, 10, 10)
    assert observe(lambda x: x.view(-1).narrow(0, 0, 9).relu_(), x).bytes == 0


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
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no size; write for example 2G"):
        parse_size(text)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems keep nothing")
def test_freed_memory_is_kept_until_it_is_released() -> None:
    code = """
import sys, torch
from prosr.inference.memory import release_freed_memory, resident_memory, reuse_freed_memory
reuse_freed_memory()
block = torch.ones(50_000_000)
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


def test_watching_does_not_import_the_compiler() -> None:
    code = (
        "import sys, torch; from prosr.inference.memory import observe; "
        "observe(torch.relu, torch.ones(1)); sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
