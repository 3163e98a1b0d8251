"""What all tests share: one thread each, repeatable examples, and the benchmark data."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Before torch, numpy or libvips is imported by any test: workers run side by side.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VIPS_CONCURRENCY"):
    os.environ[variable] = "1"

hypothesis.settings.register_profile(
    "prosr",
    deadline=None,  # the first call into torch takes seconds, the others milliseconds
    derandomize=True,
    database=None,
    print_blob=False,
)
hypothesis.settings.load_profile("prosr")


@pytest.fixture(scope="session")
def prosr_data() -> Path:
    """The folder of benchmark pictures and golden files that PROSR_DATA names."""
    place = os.environ.get("PROSR_DATA")
    if not place:
        pytest.skip("PROSR_DATA is not set: it names the folder of benchmark pictures")
    if not Path(place).is_dir():
        pytest.fail(f"PROSR_DATA is {place}, which is not a folder")
    return Path(place)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Commands set handlers for the process that they are; after a test the old ones are back."""
    numbers = [n for n in signal.Signals if n.name in ("SIGINT", "SIGTERM", "SIGHUP")]
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty cache, so that no test meets what another version has left in the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROSR_CACHE", str(folder))
        yield folder
