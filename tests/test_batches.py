"""Batches without Ray: the driver and its ledger, with workers in this process."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from batches import make_pictures, placeless
from prosr import cli
from prosr.cluster import ledger, places
from prosr.cluster.driver import Driver
from prosr.cluster.entries import BatchOptions, Entry
from prosr.cluster.ledger import Ledger, Record, leased, record_of, status_of
from prosr.cluster.places import Place, StoreError
from prosr.cluster.worker import Enlarger
from prosr.errors import ConfigError

Told = list[tuple[str, str]]


def enlarge(entries: Sequence[Entry], options: BatchOptions, alone: bool) -> Iterator[Record]:
    worker = Enlarger(options)
    yield from map(worker.enlarge, entries)


def run(
    options: BatchOptions,
    enlarge: Callable[[Sequence[Entry], BatchOptions, bool], Iterator[Record]] = enlarge,
    retry_failed: bool = False,
) -> dict[str, int]:
    driver = Driver(options, retry_failed)
    records = list(driver.run(enlarge))
    assert sum(driver.counts[status] for status in ledger.STATUSES) == len(records)
    return {name: count for name, count in driver.counts.items() if count}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "sleep", lambda seconds: None)
    monkeypatch.setattr(places, "sleep", lambda seconds: None)


@pytest.fixture
def options(tmp_path: Path) -> BatchOptions:
    """A batch of 8 pictures, one of them broken."""
    make_pictures(tmp_path / "in", 8, broken=8)
    return BatchOptions(str(tmp_path / "in"), str(tmp_path / "out"), 2, "bicubic")


def results(folder: str) -> dict[str, bytes]:
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    shown = {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
    return {name: data for name, data in shown.items() if not name.startswith(".prosr/")}


def upscale(monkeypatch: pytest.MonkeyPatch, source: str, output: str) -> dict[str, bytes]:
    words = ["prosr", "upscale", source, "-o", output, "-s", "2", "-m", "bicubic", "--quiet"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        cli.main()
    return results(output)


def test_results_are_those_of_the_command_line(
    options: BatchOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(options) == {"made": 7, "failed": 1, "found": 8}
    expected = upscale(monkeypatch, options.source, str(tmp_path / "expected"))
    assert results(options.target) == expected
    assert len(expected) == 7
    left = {path.name for path in Path(options.target, ".prosr").rglob("*") if path.is_file()}
    assert left == {"index.json", "merged-000000-000000.parquet"}


def test_results_in_another_store_differ_only_in_the_place_of_their_source(
    options: BatchOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    MemoryFileSystem.store.clear()
    Place("memory://bucket").fs.put(f"{options.source}/", "/bucket/in/", recursive=True)
    run(replace(options, source="memory://bucket/in", target="memory://bucket/out"))
    expected = upscale(monkeypatch, options.source, str(tmp_path / "expected"))
    made = {k: f.getvalue() for k, f in MemoryFileSystem.store.items() if "/out/d" in k}
    assert {key: placeless(data) for key, data in made.items()} == {
        f"/bucket/out/{name}": placeless(data) for name, data in expected.items()
    }


def test_a_second_run_makes_only_what_is_missing_or_changed(options: BatchOptions) -> None:
    run(options)
    assert run(options) == {"skipped": 7, "failed before": 1, "found": 8}
    source = Path(options.source)
    (source / "new.png").write_bytes((source / "d1/p00001.png").read_bytes())
    (source / "d1/p00001.png").write_bytes((source / "d2/p00002.png").read_bytes())
    touched = Path(options.target, "d2/p00002.png")
    before = touched.stat().st_mtime_ns
    os.utime(source / "d2/p00002.png", (0, 0))
    assert run(options) == {"made": 3, "skipped": 5, "failed before": 1, "found": 9}
    # Its content is the same.
    assert touched.stat().st_mtime_ns == before


def test_two_sources_of_one_result_do_not_take_turns(options: BatchOptions) -> None:
    Image.new("RGB", (5, 4)).save(Path(options.source, "d1/p00001.gif"))
    assert run(options) == {"made": 7, "failed": 2, "found": 9}
    for _ in range(2):
        assert run(options) == {"skipped": 7, "failed before": 2, "found": 9}


def test_those_that_failed_can_be_tried_again_alone(options: BatchOptions) -> None:
    run(options)
    (broken,) = (p for p in Path(options.source).rglob("*.*") if p.read_bytes() == b"broken")
    broken.write_bytes((Path(options.source) / "d1/p00001.png").read_bytes())
    (Path(options.source) / "new.png").write_bytes(b"broken too")
    assert run(options, retry_failed=True) == {"made": 1, "skipped": 7, "found": 9}
    assert list(status_of(options.target)) == ["8 made"]


def test_an_entry_that_kills_its_worker_is_tried_alone_and_set_aside(options: BatchOptions) -> None:
    tried = []

    def fatal(entries: Sequence[Entry], options: BatchOptions, alone: bool) -> Iterator[Record]:
        tried.append((len(entries), alone))
        fine = [entry for entry in entries if not entry.result.endswith("p00003.webp")]
        # Its neighbour was waiting for the same worker.
        lost = 0 if alone else 1
        yield from enlarge(fine[lost:], options, alone)

    assert run(options, fatal) == {"made": 6, "failed": 1, "killed": 1, "found": 8}
    assert tried[:2] == [(8, False), (2, True)]
    assert set(tried[2:]) == {(1, True)}
    (line,) = (line for line in status_of(options.target) if line.startswith("killed "))
    assert "p00003.webp: its worker was killed each time" in line
    assert run(options) == {"skipped": 6, "failed before": 2, "found": 8}


def test_an_entry_that_needs_more_memory_is_tried_alone(options: BatchOptions) -> None:
    Image.new("RGB", (600, 600)).save(Path(options.source, "large.webp"), lossless=True)

    def small(entries: Sequence[Entry], options: BatchOptions, alone: bool) -> Iterator[Record]:
        worker = Enlarger(options)
        # WebP takes 42 bytes for each pixel of the result.
        worker._limit = worker._upscaler(options.model, max_memory=2**30)._engine.reserved
        worker._limit += 200_000_000 if alone else 50_000_000
        yield from map(worker.enlarge, entries)

    assert run(options, small) == {"made": 8, "failed": 1, "found": 9}


def test_results_of_a_run_that_was_killed_are_not_made_again(options: BatchOptions) -> None:
    def killed(entries: Sequence[Entry], options: BatchOptions, alone: bool) -> Iterator[Record]:
        list(enlarge(entries[:4], options, alone))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(options, killed)
    dates = {path: path.stat().st_mtime_ns for path in Path(options.target).glob("d*/*")}
    assert len(dates) == 4
    assert run(options) == {"made": 7, "failed": 1, "found": 8}
    assert dates == {path: path.stat().st_mtime_ns for path in dates}


def test_a_file_that_prosr_has_not_made_is_not_replaced(options: BatchOptions) -> None:
    path = Path(options.target, "d1/p00001.png")
    path.parent.mkdir(parents=True)
    path.write_bytes(Path(options.source, "d1/p00001.png").read_bytes())
    for retry in (False, True):
        assert run(options, retry_failed=retry)["failed"] == (1 if retry else 2) + retry
    assert path.read_bytes() == Path(options.source, "d1/p00001.png").read_bytes()
    assert run(replace(options, overwrite=True)) == {"made": 7, "failed": 1, "found": 8}


def test_results_of_other_options_are_not_replaced(options: BatchOptions) -> None:
    run(options)
    with pytest.raises(ConfigError, match=r"has results of 'prosr bicubic x2 -'; give the same"):
        run(replace(options, size=4))
    assert run(replace(options, size=4, overwrite=True)) == {"made": 7, "failed": 1, "found": 8}


def test_a_second_run_at_once_is_refused(options: BatchOptions) -> None:
    target = Place(options.target)
    with leased(target, lambda: {"megapixels/s": 2.04}):
        (line,) = status_of(options.target)
        assert re.fullmatch(r"2\.0 megapixels/s, \S+ seconds ago", line)
        with pytest.raises(ConfigError, match="another run adds to it") as refused:
            run(options)
        assert str(os.getpid()) in str(refused.value)
    target.put(".prosr/lease.json", target.read(".prosr/lease.json") or b"{}")
    assert run(options)["made"] == 7


def test_the_lease_of_a_process_that_has_ended_is_free(options: BatchOptions) -> None:
    import json
    import socket
    import time

    who = {"run": "other", "pid": 2**22 + 1, "host": socket.gethostname(), "time": time.time()}
    Place(options.target).put(".prosr/lease.json", json.dumps(who).encode())
    assert run(options)["made"] == 7
    Place(options.target).put(".prosr/lease.json", json.dumps(who | {"host": "far"}).encode())
    with pytest.raises(ConfigError, match="process 4194305 on far"):
        run(options)
    who |= {"host": "far", "time": time.time() - 61}
    Place(options.target).put(".prosr/lease.json", json.dumps(who).encode())
    assert run(options)["skipped"] == 7


def entry(number: int, version: str = "") -> Entry:
    return Entry(f"s{number}", f"r{number}", f"a{number}", "", "bicubic", version)


def test_a_ledger_is_read_without_listings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_PARTS", 4)
    monkeypatch.setattr(ledger, "_ROWS", 3)
    target = Place(str(tmp_path))
    book = Ledger(target)
    for number in range(31):
        book.add(record_of(entry(number % 25), "failed" if number < 25 else "made", str(number)))
    book.flush()
    monkeypatch.setattr(Place, "list", lambda *_: [])
    found = Ledger(target)
    assert len(found.records(["key"])) == 31
    assert found.find(entry(0)) == ("made", True, True)
    assert found.find(entry(0, "changed")) == ("made", False, True)
    assert found.find(entry(24)) == ("failed", True, False)
    assert found.find(entry(25)) == (None, False, False)
    assert len(list(tmp_path.rglob("*.parquet"))) == 2 + 3


def test_what_a_killed_merge_leaves_is_deleted_by_the_next(tmp_path: Path) -> None:
    target = Place(str(tmp_path))
    book = Ledger(target)
    for number in range(3):
        book.add(record_of(entry(number), "made", ""))
        book.flush()
    kept = {path: path.read_bytes() for path in tmp_path.rglob("part-*")}
    book.merge()
    for path, data in kept.items():
        path.write_bytes(data)
    book = Ledger(target)
    assert len(book.records(["key"])) == 3
    book.merge()
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_a_damaged_ledger_is_one_line(tmp_path: Path) -> None:
    target = Place(str(tmp_path))
    target.put(".prosr/ledger/part-000000.parquet", b"PAR1")
    with pytest.raises(StoreError, match="a file in it is missing or damaged; restore it"):
        Ledger(target).find(entry(0))


def test_a_busy_store_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Place(str(tmp_path))
    target.put("a", b"text")
    failures = [OSError("503 Slow Down")] * 7

    def cat(*_: object) -> bytes:
        if failures:
            raise failures.pop()
        return b"text"

    monkeypatch.setattr(target.fs, "cat_file", cat)
    assert target.read("a") == b"text"
    failures += [OSError("503 Slow Down")] * 8
    with pytest.raises(StoreError, match=r"failed again and again \(503 Slow Down\); run again"):
        target.read("a")


def test_the_command_states_what_it_would_do_and_what_was_done(
    options: BatchOptions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["prosr", "batch", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return stop.value.code, *capsys.readouterr()

    monkeypatch.chdir(Path(options.source).parent)
    words = [options.source, "--output", options.target, "-s", "2", "-m", "bicubic"]
    assert call(*words, "--dry-run") == (0, "8 planned, 8 found\n", "")
    run(options)
    code, out, _ = call(options.target, "--status")
    assert (code, sorted(out.splitlines()[-1].split(", "))) == (0, ["1 failed", "7 made"])
    assert "not a picture in a known format" in out
    # Nothing is left to do, so that no cluster is needed.
    code, out, err = call(*words)
    assert (code, err) == (1, "")
    assert out.startswith("7 skipped, 1 failed before, 8 found")
    for wrong, complaint in (
        ([options.source], "name it with --output"),
        ([options.source, "-o", options.source], "results would go into itself"),
        (["missing", "-o", "other"], "missing: no such file or folder"),
        ([*words, "--engine", "torch"], "workers have no PyTorch"),
        ([*words, "-m", "prosr-xss"], "no model is called 'prosr-xss'"),
        ([options.source, "--status"], "has no ledger"),
        (["what://ever", "-o", "other"], "Protocol not known: what; give a folder"),
    ):
        code, out, err = call(*wrong)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert complaint in err
