"""The rules of the house, checked with `ast`; every checker is shown to be able to fail."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
MODULES = sorted((SOURCE / "prosr").rglob("*.py"))
SCRIPTS = sorted([*(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.py")])
TEXT = {".py", ".toml", ".md", ".txt", ".cff", ".json", ".cfg", ".yml", ".yaml", ""}

FILE_LINES, FUNCTION_LINES, LIBRARY_LINES = 400, 60, 10_900
NO_NAMES = {"utils", "misc", "common", "helpers", "base"}

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

FOREIGN: dict[str, set[str]] = {
    # Packages that only one room may import, and the rooms that may.
    "typer": {"cli"},
    "click": {"cli"},
    "argparse": {"cli"},
    "rich.console": {"cli"},
    "rich.progress": {"cli"},
    "pyvips": {"images"},
    "PIL": {"images", "inference"},
    "safetensors": {"checkpoints"},
    "lightning_fabric": {"training"},
    "av": {"video"},
    "matplotlib": {"lab"},
    "openvino": {"inference"},
    "nncf": {"inference"},
    "onnx": {"inference"},
    "onnxruntime": {"inference"},
    "pickle": set(),
    "torchvision": {"evaluation"},
    "spandrel": {"checkpoints"},
}
NETS_MAY = {
    "torch",
    "abc",
    "collections",
    "dataclasses",
    "functools",
    "itertools",
    "math",
    "typing",
}


def code_lines(source: str) -> int:
    """Lines that are neither blank nor comment nor docstring."""
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in layout and token.string:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            docstring = node.body[0]
            lines -= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    return len(lines)


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


def long_functions(tree: ast.AST) -> Iterator[str]:
    for node in functions(tree):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES:
            yield f"{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def printing(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=("print" | "exit" | "quit" | "breakpoint") as name)):
                yield f"{node.lineno}: {name}() outside cli"
            case ast.Attribute(value=ast.Name(id="sys"), attr=("exit" | "stdout" | "stderr")):
                yield f"{node.lineno}: sys.{node.attr} outside cli"
            case ast.Attribute(value=ast.Name(id="os"), attr=("_exit" | "abort")):
                yield f"{node.lineno}: os.{node.attr} outside cli"
            case ast.Name(id="SystemExit"):
                yield f"{node.lineno}: SystemExit outside cli"


def open_signatures(tree: ast.AST) -> Iterator[str]:
    """Public functions that take `**kwargs`: a misspelt argument would pass unnoticed."""
    for node in functions(tree):
        public = not node.name.startswith("_") or node.name.startswith("__")
        if public and node.args.kwarg:
            yield f"{node.lineno}: {node.name} takes **{node.args.kwarg.arg}"


def vague_names(tree: ast.AST) -> Iterator[str]:
    """`lr` is a picture to some and a rate to others; it is neither here."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.arg):
            name = node.id if isinstance(node, ast.Name) else node.arg
            if name in {"lr", "hr", "sr"}:
                yield f"{node.lineno}: {name}: pictures are x and y, the rate is learning_rate"


def silent_handlers(tree: ast.AST, source: str) -> Iterator[str]:
    """Handlers of everything, with no comment just above or beside them that says why."""
    lines = source.splitlines()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        names = (
            {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {""}
        )
        reason = "#" in lines[node.lineno - 1] or lines[node.lineno - 2].lstrip().startswith("#")
        if names & {"", "Exception", "BaseException"} and not reason:
            yield f"{node.lineno}: catches everything and does not say why"


def forbidden_words(text: str) -> Iterator[str]:
    # With brackets, so that this line does not break the rule itself.
    words = r"TO[D]O|FIX[M]E|XX[X]|/wor[k]/|/roo[t]/|/hom[e]/|/op[t]/"
    words += r"|pyp[i]\.org|pythonhos[t]ed|pyto[r]ch\.org/whl|--find-link[s]|--(extra-)?index-ur[l]"
    for number, line in enumerate(text.splitlines(), 1):
        yield from (f"{number}: {found[0]}" for found in re.finditer(rf"(?<!\w)({words})", line))


def texts() -> list[Path]:
    """Files of the project that people write."""
    rooms = [ROOT / name for name in ("src", "tests", "docs", "recipes", "results", ".ci")]
    inside = [path for room in rooms for path in room.rglob("*")]
    return sorted(
        path
        for path in [*inside, *ROOT.iterdir()]
        if path.is_file() and path.suffix in TEXT and path.name not in {"LICENSE", ".git"}
    )


Checker = Callable[[ast.AST], Iterator[str]]


def broken(checker: Checker, paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{problem}"
        for path in paths
        for problem in checker(ast.parse(path.read_text(encoding="utf-8")))
    ]


def outside_cli() -> list[Path]:
    return [path for path in MODULES if room_of(module_name(path)) not in {"cli", "__main__"}]


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
    names = [module_name(path) for path in MODULES if path.name != "__main__.py"]
    code = f"""
import importlib, sys
for name in {names!r}:
    for loaded in [key for key in sys.modules if key.split(".")[0] == "prosr"]:
        del sys.modules[loaded]
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize(
    "module", ["prosr", "prosr.layouts", "prosr.config", "prosr.training.curriculum"]
)
def test_needs_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    lengths |= {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SCRIPTS}
    assert not [f"{p.relative_to(ROOT)}: {n} lines" for p, n in lengths.items() if n > FILE_LINES]


def test_the_library_is_small() -> None:
    # Nobody should leave out a system to compare with.
    ours = [path for path in MODULES if path.parent.name != "baselines"]
    assert sum(code_lines(path.read_text(encoding="utf-8")) for path in ours) < LIBRARY_LINES


def test_docstrings_comments_and_blank_lines_are_free() -> None:
    """Nobody should save on them."""
    assert code_lines('"""Doc.\n\nMore."""\n\n# why\nx = (\n    1\n)\n') == 3


def test_functions_are_short() -> None:
    assert not broken(long_functions, [*MODULES, *SCRIPTS])


def test_only_the_command_line_prints_and_exits() -> None:
    assert not broken(printing, outside_cli())


def test_public_signatures_are_closed() -> None:
    assert not broken(open_signatures, MODULES)


def test_names_carry_the_papers_letters() -> None:
    assert not broken(vague_names, MODULES)


def test_handlers_of_everything_say_why() -> None:
    problems = []
    for path in [*MODULES, *SCRIPTS]:
        source = path.read_text(encoding="utf-8")
        found = silent_handlers(ast.parse(source), source)
        problems += [f"{path.relative_to(ROOT)}:{problem}" for problem in found]
    assert not problems


def test_module_names_say_what_is_inside() -> None:
    names = {part for path in [*MODULES, *SCRIPTS] for part in module_parts(path)}
    assert not names & NO_NAMES


def module_parts(path: Path) -> tuple[str, ...]:
    return path.relative_to(ROOT).with_suffix("").parts


def test_texts_are_finished_and_of_no_particular_machine() -> None:
    assert len(texts()) > len(MODULES)
    assert not [
        f"{path.relative_to(ROOT)}:{problem}"
        for path in texts()
        for problem in forbidden_words(path.read_text(encoding="utf-8"))
    ]


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


@pytest.mark.parametrize(
    ("checker", "sample"),
    [
        (long_functions, "def f():\n" + "    pass\n" * FUNCTION_LINES),
        (printing, "print(1)"),
        (printing, "import sys\nsys.exit()"),
        (printing, "raise SystemExit"),
        (open_signatures, "def f(**options): ..."),
        (open_signatures, "class A:\n    def __init__(self, **options): ..."),
        (vague_names, "def f(lr): ..."),
        (vague_names, "lr = 1"),
    ],
)
def test_a_bad_sample_is_found(checker: Checker, sample: str) -> None:
    assert list(checker(ast.parse(sample)))


@pytest.mark.parametrize("names", ["", " Exception", " (ValueError, BaseException)"])
def test_a_silent_handler_is_found(names: str) -> None:
    sample = f"try:\n    f()\nexcept{names}:\n    pass\n"
    assert list(silent_handlers(ast.parse(sample), sample))
    told = sample.replace(":\n    pass", ":  # a reason\n    pass")
    assert not list(silent_handlers(ast.parse(told), told))


@pytest.mark.parametrize("text", ["# todo: later".upper(), "/".join(("", "home", "someone"))])
def test_a_forbidden_word_is_found(text: str) -> None:
    assert list(forbidden_words(text))
