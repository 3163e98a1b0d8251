"""Scores name the machine and the code that they come from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import torch

from prosr.evaluation import provenance


def test_the_machine_has_the_threads_and_version_of_pytorch() -> None:
    machine = provenance.machine()
    assert machine.cpu
    assert machine.cores >= 1
    assert machine.threads == torch.get_num_threads()
    assert machine.torch == torch.__version__


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of the package, tracked in a fresh checkout."""
    folder = tmp_path / "project" / "prosr"
    folder.mkdir(parents=True)
    (folder / "errors.py").write_text("")
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "errors.py"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    monkeypatch.setattr(provenance, "_PACKAGE", folder)
    provenance.commit.cache_clear()
    return folder


@pytest.fixture(autouse=True)
def forget_commit() -> None:
    provenance.commit.cache_clear()


def test_a_checkout_names_its_commit(package: Path) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", provenance.commit() or "")


def test_a_changed_package_is_marked(package: Path) -> None:
    (package / "errors.py").write_text("changed = 1")
    assert re.fullmatch(r"[0-9a-f]{40}\+changes", provenance.commit() or "")


def test_changes_elsewhere_in_the_checkout_do_not_matter(package: Path) -> None:
    (package.parent / "results.json").write_text("[]")
    assert "+" not in (provenance.commit() or "+")


def test_a_package_installed_inside_another_checkout_has_no_commit(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = package.parent / "site-packages" / "prosr"
    installed.mkdir(parents=True)
    (installed / "errors.py").write_text("")
    monkeypatch.setattr(provenance, "_PACKAGE", installed)
    assert provenance.commit() is None


def test_without_git_there_is_no_commit(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() is None
