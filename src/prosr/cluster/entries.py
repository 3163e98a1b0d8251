"""Finds what a batch enlarges: entries of folders, archives and manifests, as a stream."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow.dataset

from prosr.cluster.places import PRIVATE, Info, Place, version_of
from prosr.errors import ConfigError, printable
from prosr.images.formats import UNREAD_SUFFIXES, find_format, is_picture
from prosr.inference.pictures import result_suffix
from prosr.sizes import Request, choose, requested
from prosr.video import clip_suffix, is_clip

MANIFESTS = (".csv", ".parquet")
_COLUMNS = ("address", "scale", "model", "result", "version")


@dataclass(frozen=True)
class BatchOptions:
    """The addresses of a batch, and options of `prosr upscale`; `max_memory` is of a worker."""

    source: str
    target: str
    size: Request | float = 4
    model: str = "auto"
    file_format: str | None = None
    engine: str = "openvino"
    ensemble: bool = False
    strength: float = 1.0
    overwrite: bool = False
    max_memory: str | None = None

    def request(self, scale: str = "") -> Request:
        """The request of all entries, or of one that states a scale."""
        own = requested(self.size)
        return replace(choose({"scale": scale}), settings=own.settings) if scale else own


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture or clip to enlarge, and the key of its result in the target.

    `source` names it for people. Its bytes are the file at `address`, or `size` bytes of it from
    `start`. `scale` is empty for the size of all. `version` changes with the file. `recipe` is what
    the result depends on besides. `refusal` is why it cannot be enlarged. With `replaces`, an
    earlier result may be replaced. `key` identifies the result, and `state` what it is made of.
    """

    source: str
    result: str
    address: str
    scale: str
    model: str
    version: str = ""
    start: int = 0
    size: int | None = None
    recipe: str = ""
    refusal: str = ""
    replaces: bool = False

    @property
    def key(self) -> int:
        return _short_hash(self.result)

    @property
    def state(self) -> int:
        return _short_hash(f"{self.version}\n{self.recipe}")


def find_entries(options: BatchOptions) -> Iterator[Entry]:
    """All pictures and clips in the source, one after another.

    Results keep the names and the tree of their sources; an archive counts as a folder. A target
    in the source is skipped. An entry is refused if its result would lie outside the target or
    replace another one. Raises `ConfigError` for a source that is missing or holds nothing.
    """
    taken: set[int] = set()
    entry = None
    for entry in _find(options):
        path, why = Path(entry.result), ""
        if path.is_absolute() or ".." in path.parts or path.parts[:1] in ((), (PRIVATE,)):
            why = f"its result {printable(entry.result)!r} is not in the target; name another one"
        elif entry.key in taken:
            why = f"its result {printable(entry.result)!r} is that of another one; rename one"
        taken.add(entry.key)
        if why:
            # It has a record of its own, not that of the result.
            entry = replace(entry, result=entry.source, refusal=f"{entry.source}: {why}")
        yield entry
    if entry is None:
        raise ConfigError(f"{printable(options.source)}: no pictures or clips in it; name others")


def _short_hash(text: str) -> int:
    digest = blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _find(options: BatchOptions) -> Iterator[Entry]:
    folder, target = Place(options.source), Place(options.target)
    if (info := folder.info()) is None:
        raise ConfigError(f"{printable(options.source)}: no such file or folder; check its name")
    if Path(options.source).suffix.lower() in MANIFESTS:
        yield from _manifest(folder, options)
    elif info["type"] == "file":
        parent, _, name = folder.full("").rpartition("/")
        yield from _files(Place(parent or "/"), [(name, info)], options)
    elif folder.full("") == target.full(""):
        raise ConfigError(f"{folder.shown('')}: results would go into itself; give another output")
    else:
        yield from _files(folder, folder.walk(skipped=target.root), options)


def _files(
    folder: Place, files: Iterable[tuple[str, Info]], options: BatchOptions
) -> Iterator[Entry]:
    for key, info in files:
        path, shown = Path(key), folder.shown(key)
        entry = Entry(shown, key, folder.full(key), "", options.model, version_of(info))
        if is_picture(path) or is_clip(path):
            yield replace(entry, result=_result(key, options))
        elif path.suffix.lower() in UNREAD_SUFFIXES:
            why = "this format is not supported; make it a PNG first"
            yield replace(entry, refusal=f"{shown}: {why}")
        elif path.suffix.lower() in (".tar", ".zip"):
            try:
                yield from _members(entry, options)
            except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
                why = f"the archive cannot be read ({printable(str(error))}); make it again"
                yield replace(entry, refusal=f"{shown}: {why}")


def _members(entry: Entry, options: BatchOptions) -> Iterator[Entry]:
    """The pictures and clips in an archive, which is the `entry`."""
    path = Path(entry.result)
    kind = path.suffix[1:].lower()
    archive = Place(f"{kind}://::{entry.address}")
    for name, info in archive.walk():
        if not is_picture(Path(name)) and not is_clip(Path(name)):
            continue
        result = _result(f"{path.with_suffix('')}/{name}", options)
        member = replace(entry, source=f"{entry.source}::{printable(name)}", result=result)
        if kind == "zip":
            yield replace(member, address=f"zip://{name}::{entry.address}")
        else:
            # Workers read the member alone, and not the headers of all members before it.
            start = archive.fs.index[info["name"]][1]
            yield replace(member, start=start, size=info["size"])


def _result(key: str, options: BatchOptions) -> str:
    path, wanted = Path(key), find_format(options.file_format) if options.file_format else None
    suffix = clip_suffix(path) if is_clip(path) else result_suffix(path, wanted)
    return path.with_suffix(suffix).as_posix()


def _manifest(store: Place, options: BatchOptions) -> Iterator[Entry]:
    """Entries of the rows. Addresses without a protocol are relative to the manifest's folder."""
    base = Place(store.full("").rpartition("/")[0] or "/")
    kind = Path(store.root).suffix[1:].lower()
    try:
        rows = pyarrow.dataset.dataset(store.root, format=kind, filesystem=store.fs)
        for batch in rows.to_batches(batch_size=10_000, batch_readahead=1):
            names = batch.schema.names
            if "address" not in names or set(names) - set(_COLUMNS):
                raise ConfigError(f"columns {names}; they must be among {_COLUMNS}")
            yield from (_row_entry(row, base, options) for row in batch.to_pylist())
    except (ValueError, OSError) as error:
        raise ConfigError(f"{store.shown('')}: {printable(str(error))}") from error


def _row_entry(row: dict[str, Any], base: Place, options: BatchOptions) -> Entry:
    texts = {name: str(value) for name, value in row.items() if value not in (None, "")}
    if not (address := texts.get("address")):
        raise ConfigError(f"the address in {row} is empty; name a file")
    stated, version = texts.get("scale", ""), texts.get("version", "")
    path = Path(_result((address.partition("://")[2] or address).lstrip("/"), options))
    named = path.with_name(f"{path.stem}_{options.request(stated).label}{path.suffix}")
    full = address if "://" in address or address.startswith("/") else base.full(address)
    result, model = texts.get("result", str(named)), texts.get("model", options.model)
    return Entry(printable(address), result, full, stated, model, version)
