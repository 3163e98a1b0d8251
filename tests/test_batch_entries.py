"""What a batch finds in folders, archives and manifests."""

from __future__ import annotations

import csv
import os
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from prosr.cluster.entries import BatchOptions, Entry, find_entries
from prosr.cluster.worker import Enlarger
from prosr.errors import ConfigError


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4), (200, 100, 50)).save(path)
    return path


def found(source: Path, **options: object) -> list[Entry]:
    target = str(source.parent / "out")
    return list(find_entries(BatchOptions(str(source), target, 2, "bicubic", **options)))  # type: ignore[arg-type]


def results(entries: list[Entry]) -> list[str]:
    return [entry.result for entry in entries if not entry.refusal]


def test_a_folder_keeps_its_tree_without_hidden_files_and_the_target(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for name in ("b.gif", "a/c.jpg", "a/.hidden.jpg", ".cache/d.png", "out/e.png", "notes.txt"):
        picture(source / f"{name}.png").rename(source / name)
    (source / "a" / "circle").symlink_to(source, target_is_directory=True)
    entries = list(find_entries(BatchOptions(str(source), str(source / "out"))))
    assert results(entries) == ["b.png", "a/c.jpg"]
    assert entries[0].source == entries[0].address == str(source / "b.gif")


def test_another_format_gives_results_its_suffix(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.jpg")
    assert results(found(tmp_path / "in", file_format="webp")) == ["a.webp"]


def test_versions_change_with_files(tmp_path: Path) -> None:
    path = picture(tmp_path / "in/a.png")
    (before,) = found(path.parent)
    os.utime(path, (1, 1))
    (after,) = found(path.parent)
    assert before.version != after.version
    assert (before.key, before.state) == (after.key, before.state)
    assert before.state != after.state


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_of_an_archive_are_entries(tmp_path: Path, kind: str) -> None:
    path = picture(tmp_path / "a.png")
    names = ["000.png", "sub/001.png", "000.txt"]
    shard = tmp_path / "in" / f"shard-0.{kind}"
    shard.parent.mkdir()
    with (
        zipfile.ZipFile(shard, "w", zipfile.ZIP_DEFLATED)
        if kind == "zip"
        else tarfile.open(shard, "w") as archive
    ):
        for name in names:
            (archive.write if isinstance(archive, zipfile.ZipFile) else archive.add)(path, name)
    for source in (shard, shard.parent):
        entries = found(source)
        assert results(entries) == ["shard-0/000.png", "shard-0/sub/001.png"]
        assert entries[1].source == f"{shard}::sub/001.png"
    worker = Enlarger(BatchOptions(str(shard), str(tmp_path / "out"), 2, "bicubic"))
    assert [worker.enlarge(entry).status for entry in entries] == ["made", "made"]
    with Image.open(tmp_path / "out/shard-0/sub/001.png") as result:
        assert result.size == (10, 8)


def test_a_damaged_archive_fails_alone(tmp_path: Path) -> None:
    picture(tmp_path / "in/b.png")
    for name in ("a.zip", "c.tar"):
        (tmp_path / "in" / name).write_bytes(b"no archive")
    first, second, third = found(tmp_path / "in")
    assert (bool(first.refusal), bool(second.refusal), bool(third.refusal)) == (True, False, True)
    assert "the archive cannot be read" in first.refusal


ROWS = [
    {"address": "a.png"},
    {"address": "sub/b.gif", "scale": "4", "model": "prosr-xs"},
    {"address": "s3://bucket/c.jpg", "result": "there/c.jpg", "version": "7"},
]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_manifest_states_scale_model_and_result_for_each_row(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"list.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["address", "scale", "model", "result", "version"])
            writer.writeheader()
            writer.writerows(ROWS)
    else:
        columns = {name: [row.get(name) for row in ROWS] for name in ROWS[1] | ROWS[2]}
        pyarrow.parquet.write_table(pa.table(columns), path)
    a, b, c = found(path)
    assert (a.address, a.result, a.scale) == (str(tmp_path / "a.png"), "a_x2.png", "")
    assert (b.address, b.result) == (str(tmp_path / "sub/b.gif"), "sub/b_x4.png")
    assert (b.scale, b.model) == ("4", "prosr-xs")
    assert (c.address, c.result, c.version) == ("s3://bucket/c.jpg", "there/c.jpg", "7")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("path\na.png\n", r"columns \['path'\]; they must be among"),
        ("address,scale\na.png,17\n", "scale 17 is not a number from 1 to 16"),
        ("address,scale\n,2\n", "is empty; name a file"),
        ("address\n", "no pictures or clips in it"),
        ("", "list.csv"),
    ],
)
def test_a_wrong_manifest_is_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ConfigError, match=complaint) as refused:
        found(tmp_path / "list.csv")
    assert "\n" not in str(refused.value)


def test_two_sources_of_one_result_are_refused(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in/a.gif").write_bytes(b"GIF89a")
    first, second, third = found(tmp_path / "in")
    assert (first.refusal, third.refusal) == ("", "")
    assert f"{tmp_path}/in/a.png: its result 'a.png' is that of another one" in second.refusal


def test_pictures_in_formats_that_are_not_read_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "in/a.png").rename(tmp_path / "in/a.psd")
    (entry,) = found(tmp_path / "in")
    assert entry.refusal.endswith("in/a.psd: this format is not supported; make it a PNG first")


@pytest.mark.parametrize("result", ["../a.png", "/a.png", ".prosr/a.png", "b/../../a.png", "."])
def test_no_result_lies_outside_the_target(tmp_path: Path, result: str) -> None:
    (tmp_path / "list.csv").write_text(f"address,result\na.png,{result}\n")
    (entry,) = found(tmp_path / "list.csv")
    assert "is not in the target; name another one" in entry.refusal


def test_names_need_not_be_text(tmp_path: Path) -> None:
    import json
    from dataclasses import asdict

    source = tmp_path / "in"
    name = os.fsdecode(b"a\xff\n.png")
    try:
        picture(source / "a.png").rename(source / name)
    except OSError:
        pytest.skip("this file system takes only names that are text")
    (entry,) = found(source)
    worker = Enlarger(BatchOptions(str(source), str(tmp_path / "out"), 2, "bicubic"))
    table = pa.table({"entry": [json.dumps(asdict(entry))]})
    (record,) = map(json.loads, worker(table)["record"].to_pylist())
    assert (record["status"], record["result"]) == ("made", "a\\udcff\\n.png")
    assert (tmp_path / "out" / name).exists()
