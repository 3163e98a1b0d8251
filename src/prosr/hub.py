"""Models of the Hugging Face Hub: hf://owner/name, pinned by a commit and by the weights' hash."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from prosr.cache import cached_folder
from prosr.errors import CheckpointError, ConfigError

_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?(?:#([0-9a-f]{8,64}))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_address(name: str | Path) -> bool:
    """Whether the name of a model is an address of the hub."""
    return str(name).startswith("hf://")


def fetch(address: str) -> tuple[Path, str]:
    """Download a model once; returns its weights file in the user's cache, and the wanted hash.

    An address is hf://OWNER/NAME@REVISION#HASH. REVISION is a commit, a tag or a branch, by
    default "main". With a commit, a model that is cached already needs no network. HASH is the
    start of the hash of the parameters, which the caller compares. `HF_ENDPOINT` and `HF_TOKEN`
    apply. Needs the extra `hub`. Raises `ConfigError` for a malformed address and
    `CheckpointError` if the download fails.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ConfigError(f"{address!r} is not an address such as hf://owner/name@revision")
    if find_spec("huggingface_hub") is None:
        raise ConfigError(f"{address}: needs the hub's client; run: pip install 'prosr[hub]'")
    repository, revision, digest = found.groups(default="")
    commit = revision if _COMMIT.fullmatch(revision) else _commit(address, repository, revision)
    key = hashlib.sha256(f"{repository} {commit}".encode()).hexdigest()[:24]
    folder = cached_folder(key, lambda new: _download(address, repository, commit, new))
    return next(folder.glob("*.safetensors")), digest


def _commit(address: str, repository: str, revision: str) -> str:
    """The commit that a tag or branch names now."""
    from huggingface_hub import HfApi

    try:
        hub = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        return str(hub.model_info(repository, revision=revision or "main").sha)
    # The hub's client raises errors of several libraries.
    except Exception as error:
        raise CheckpointError(f"{address}: cannot be found on the hub ({_line(error)})") from error


def _download(address: str, repository: str, commit: str, folder: Path) -> None:
    """Download weights and graphs into `folder`, as plain files."""
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            repository,
            revision=commit,
            allow_patterns=["*.safetensors", "*.onnx"],
            local_dir=folder,
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
    # Without this, an OSError of the network would read as an unwritable cache.
    except Exception as error:
        raise CheckpointError(f"{address}: cannot be downloaded ({_line(error)})") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    count = len(list(folder.glob("*.safetensors")))
    if count != 1:
        raise CheckpointError(f"{address}: has {count} .safetensors files; prosr needs exactly one")


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
