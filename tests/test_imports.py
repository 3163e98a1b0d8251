"""Imports: no circle by file, nothing barred, and a runtime without PyTorch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
MODULES = sorted((SOURCE / "prosr").rglob("*.py"))

BARRED: dict[str, set[str]] = {
    # Rooms that must not import others, though no circle would come of it.
    "errors": {"*"},
    "nets": {"files", "images", "data", "training", "evaluation", "inference", "config"},
    "images": {"nets", "checkpoints", "inference", "data"},
    "inference": {"data", "evaluation", "training", "jobs", "video"},
    "evaluation": {"training"},
    "training": {"cli"},
}
"""Only the command line's verbs import `lab`; nothing but `prosr.__main__` imports `cli`."""

RUNTIME = {
    "prosr", "errors", "files", "cache", "scales", "layouts", "config", "version", "images",
    "models", "inference", "jobs", "video", "evaluation", "cli", "serve",
}  # fmt: skip
NEEDS_EXTRA = {
    "prosr.resample.tensors", "prosr.inference.engines.torch", "prosr.inference.engines.onnx",
}  # fmt: skip
"""Modules of these rooms that name their extra where it is missing."""

FOREIGN: dict[str, set[str]] = {
    # Packages that only one room may import, and the rooms that may.
    "typer": {"cli"},
    "click": {"cli"},
    "argparse": {"cli"},
    "rich.console": {"cli"},
    "rich.progress": {"cli"},
    "pyvips": {"images"},
    "PIL": {"images", "inference"},
    "safetensors": {"checkpoints", "models"},
    "lightning_fabric": {"training"},
    "av": {"video"},
    "matplotlib": {"lab"},
    "fastapi": {"serve"},
    "fsspec": {"cluster"},
    "pyarrow": {"cluster"},
    "ray": {"cluster"},
    "openvino": {"inference", "checkpoints", "lab"},
    "nncf": {"lab"},
    "onnx": {"checkpoints"},
    "onnxruntime": {"inference"},
    "pickle": set(),
    "torchvision": {"evaluation"},
    "spandrel": {"checkpoints", "integrations"},
}
NETS_MAY = {
    "torch",
    "abc",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "functools",
    "itertools",
    "math",
    "typing",
    "weakref",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """`prosr.nets.blocks` is in `nets`; `prosr` itself is the door."""
    return module.split(".")[1] if "." in module else module


def imported(tree: ast.AST, module: str, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Every dotted name that a module imports, wherever in the file it does so."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*start, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)


def import_graph(sources: dict[str, tuple[str, bool]]) -> dict[str, set[str]]:
    """Which of these modules each one imports, `TYPE_CHECKING` blocks included.

    `sources` holds, by dotted name, a module's text and whether it is a package's
    `__init__`. `from package import module` counts as an import of the module alone.
    """
    graph: dict[str, set[str]] = {}
    for module, (source, is_package) in sources.items():
        found = {name for _, name in imported(ast.parse(source), module, is_package)}
        known = {name if name in sources else name.rpartition(".")[0] for name in found}
        graph[module] = (known & sources.keys()) - {module}
    return graph


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of imports, first module repeated at the end, or nothing."""
    done: set[str] = set()

    def follow(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for other in sorted(graph[module]):
            if circle := follow(other, [*path, module]):
                return circle
        done.add(module)
        return []

    for module in sorted(graph):
        if circle := follow(module, []):
            return circle
    return []


def bad_imports(tree: ast.AST, module: str, is_package: bool = False) -> Iterator[str]:
    room = room_of(module)
    barred = BARRED.get(room, set())
    for line, name in imported(tree, module, is_package):
        top, *rest = name.split(".")
        if top != "prosr":
            for package, rooms in FOREIGN.items():
                if f"{name}.".startswith(f"{package}.") and room not in rooms:
                    yield f"{line}: {room} must not import {package}"
            if room == "nets" and top not in NETS_MAY | {"__future__"}:
                yield f"{line}: nets must not import {top}"
            continue
        target = rest[0] if rest else "prosr"
        if target == room:
            continue
        only = {"lab": {"cli"}, "cli": {"__main__"}}.get(target)
        if target in barred or "*" in barred or (only is not None and room not in only):
            yield f"{line}: {room} must not import {name}"


def sources() -> dict[str, tuple[str, bool]]:
    return {
        module_name(path): (path.read_text(encoding="utf-8"), path.name == "__init__.py")
        for path in MODULES
    }


def test_imports_have_no_circle() -> None:
    assert not find_circle(import_graph(sources()))


def test_a_circle_is_found() -> None:
    texts = {"prosr.a": "from prosr import b", "prosr.b": "def f():\n    import prosr.c.d"}
    texts |= {"prosr.c": "", "prosr.c.d": "from prosr.a import x"}
    graph = import_graph({name: (text, name == "prosr.c") for name, text in texts.items()})
    assert find_circle(graph) == ["prosr.a", "prosr.b", "prosr.c.d", "prosr.a"]
    graph["prosr.c.d"].clear()
    assert not find_circle(graph)


def test_rooms_keep_to_themselves() -> None:
    problems = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = bad_imports(tree, module_name(path), path.name == "__init__.py")
        problems += [f"{path.relative_to(ROOT)}:{problem}" for problem in found]
    assert not problems


def test_every_module_can_be_the_first_to_be_imported() -> None:
    # spandrel comes with an extra of its own.
    left_out = {"prosr.__main__", "prosr.integrations.spandrel"}
    names = [name for name in map(module_name, MODULES) if name not in left_out]
    code = f"""
import importlib, sys
for name in {names!r}:
    for loaded in [key for key in sys.modules if key.split(".")[0] == "prosr"]:
        del sys.modules[loaded]
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr[-500:]


def runtime_modules() -> list[str]:
    """Modules that an installation without the extra `train` can import."""
    names = [module_name(path) for path in MODULES]
    rooms = [name for name in names if room_of(name) in RUNTIME and name not in NEEDS_EXTRA]
    rooms.append("prosr.data.benchmarks")
    return [name for name in rooms if not name.startswith("prosr.video.")]


def test_the_runtime_needs_no_pytorch() -> None:
    code = f"""
import importlib, sys
for name in ("torch", "onnx", "onnxruntime", "lightning_fabric"):
    sys.modules[name] = None
for name in {runtime_modules()!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("prosr.nets.blocks", "from prosr.config import preset"),
        ("prosr.nets.blocks", "import json"),
        ("prosr.evaluation.run", "from prosr.training.loop import train"),
        ("prosr.evaluation.run", "import prosr.lab.plots"),
        ("prosr.inference.tiling", "def f():\n    from prosr.data import benchmarks"),
        ("prosr.training.run", "from prosr.cli.train import train"),
        ("prosr.training.loop", "from ..cli import train"),
        ("prosr.training.run", "from rich.progress import Progress"),
        ("prosr.errors", "import prosr.files"),
        ("prosr.images", "import pickle"),
    ],
)
def test_a_bad_import_is_found(module: str, line: str) -> None:
    assert list(bad_imports(ast.parse(line), module))


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("prosr.evaluation.run", "from prosr.data.benchmarks import open_benchmark"),
        ("prosr.nets.generator", "from .blocks import DCU"),
        ("prosr.cli.train", "from prosr.training.loop import train\nfrom prosr.lab import plots"),
        ("prosr.images", "import pyvips"),
    ],
)
def test_a_good_import_is_none_of_them(module: str, line: str) -> None:
    assert not list(bad_imports(ast.parse(line), module))
