"""Write src/prosr/errors.md, which lists each error of prosr, from the code.

python docs/make_errors.py

Messages are what the code passes to error classes, and to functions that make errors. They have the
form "cause; remedy". ‹Angle quotes› mark what the code puts into a message.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prosr import errors
from prosr.cluster.places import StoreError
from prosr.errors import ProSRError
from prosr.files import TargetExistsError
from prosr.images.formats import CONTENTS
from prosr.training.objectives import DivergedError

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "prosr"
PAGE = SOURCE / "errors.md"

CLASSES: tuple[type[Exception], ...] = (
    errors.ConfigError,
    errors.ImageError,
    TargetExistsError,
    errors.CheckpointError,
    errors.DataError,
    errors.InferenceError,
    DivergedError,
    StoreError,
    errors.ProSRError,
)
"""In the order of the page."""

MAKERS = {"refusal": "ImageError", "Refused": "CheckpointError", "Unknown": "CheckpointError"}
"""Functions and exceptions whose text becomes the message of one of the classes."""

SETTINGS = ("config.py", "layouts.py", "lab/plan.py", "models.py")
"""Files whose `ValueError` becomes a `ConfigError`, or in models.py a `CheckpointError`."""

INTRODUCTION = """\
# Errors

prosr ends with one line that names the file or value at fault and says what to do. The name in
brackets at its end is a section of this page:

```text
error: photo.jpg: no such file; check its name [ImageError]
```

In Python the error is raised: `prosr.errors.ConfigError` and so on, all of them `ProSRError`.
`prosr help errors` prints this page. Each entry is the cause and, after an arrow, the remedy. Words
in ‹angle quotes› stand for what prosr puts there. Lines that begin with "failed" are an ImageError:
that picture was not enlarged, the others were.

| exit code | meaning |
|---|---|
| 0 | all done |
| 1 | some files failed, or output was lost |
| 2 | the request cannot be fulfilled: an error of this page, or a wrong option |
| 70 | a bug of prosr; report it with the output of `prosr --version --verbose` |
| 129, 130, 143 | the terminal was closed, Ctrl-C, terminated; the same command resumes |

With `PROSR_DEBUG=1`, the same command prints the traceback of a bug. Two lines have no class:

- this needs ‹package›; install it with: pip install 'prosr[‹extra›]'. An optional package is
  missing.
- out of memory; give smaller pictures, batches, patches or layouts. `--max-memory` limits what
  `prosr upscale` uses.
"""

REASONS = {"strerror", "error", "reason", "problem", "why", "what", "trouble", "refusal"}


class Message(NamedTuple):
    """An error that the code can raise."""

    kind: str
    text: str


def messages() -> list[Message]:
    """All errors in the code, sorted and without repetitions."""
    found = {
        message
        for path in sorted(SOURCE.rglob("*.py"))
        for message in of_file(path.relative_to(SOURCE).as_posix(), path.read_text("utf-8"))
    }
    found |= {Message("ImageError", f"is {name}") for name, loader, _ in CONTENTS if not loader}
    return sorted(found, key=lambda message: message.text.replace("‹", "").lower())


def of_file(name: str, source: str) -> Iterator[Message]:
    """The errors that the code of one file makes."""
    tree = ast.parse(source)
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        values = assigned(tree.body) | assigned(ast.walk(function))
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and (kind := kind_of(node, name)):
                text = node.args[-1 if kind == "ImageError" else 0]
                for message in worded(text, values):
                    if sum(word.isalpha() for word in message.split()) > 1:
                        yield Message(kind, " ".join(message.split()))


def kind_of(call: ast.Call, file: str) -> str | None:
    """The class of the error that a call makes."""
    name = ast.unparse(call.func).rpartition(".")[2]
    if not call.args:
        return None
    if name == "ValueError" and file in SETTINGS:
        return "CheckpointError" if file == "models.py" else "ConfigError"
    known = {one.__name__ for one in CLASSES}
    return name if name in known else MAKERS.get(name)


def assigned(nodes: Iterator[ast.AST] | list[ast.stmt]) -> dict[str, list[ast.expr]]:
    """Every expression that is assigned to each name, or returned by each function "name()"."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found.setdefault(name, []).append(value)
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                found.setdefault(name, []).append(value)
            case ast.FunctionDef(name=name):
                returns = [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
                found[f"{name}()"] = [value for value in returns if value is not None]
                with_defaults = node.args.args[::-1], node.args.defaults[::-1]
                for argument, default in zip(*with_defaults, strict=False):
                    found.setdefault(argument.arg, []).extend([default] * is_text(default))
    return found


def worded(node: ast.expr, values: dict[str, list[ast.expr]]) -> list[str]:
    """The texts that an expression can have, one for each choice that it leaves."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return products([worded(part, values) for part in parts])
        case ast.FormattedValue(value=value):
            return worded(value, values)
        case ast.BinOp(left=left, op=ast.Add(), right=right) if is_text(left) or is_text(right):
            return products([worded(left, values), worded(right, values)])
        case ast.IfExp(body=body, orelse=other):
            return [*worded(body, values), *worded(other, values)]
        case ast.Call(func=ast.Name(id="suggestion")):
            return ["; use one of the names that the line suggests"]
        case ast.Name(id=name) | ast.Call(func=ast.Name(id=name)):
            key = name if isinstance(node, ast.Name) else f"{name}()"
            rest = {other: value for other, value in values.items() if other != key}
            texts = [text for value in values.get(key, ()) for text in worded(value, rest)]
            # A number, a name or a path: the name of the variable says more.
            if texts and not any(re.fullmatch("‹[^›]*›", text) for text in texts):
                return texts
    return [f"‹{placeholder(node)}›"]


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def products(parts: list[list[str]]) -> list[str]:
    """All texts that take one choice of each part, at most eight."""
    texts = [""]
    for choices in parts:
        texts = [text + choice for text in texts for choice in choices][:8]
    return texts


def placeholder(node: ast.expr) -> str:
    """A name for what an expression puts into a message."""
    match node:
        case ast.Call(func=ast.Name(id="len" | "sum" | "max" | "min" | "round")):
            return "number"
        case ast.Call(args=[argument, *_]):
            return placeholder(argument)
        case ast.Call(func=ast.Attribute(value=value)):
            return placeholder(value)
        case ast.Attribute(value=value, attr=name):
            words = placeholder(value) if name in {"name", "__name__", "args"} else name
            return "reason" if name in REASONS else words.strip("_").lower().replace("_", " ")
        case ast.Name(id=name) if name not in {"self", "type", "str"}:
            return "reason" if name in REASONS else name.strip("_").lower().replace("_", " ")
        case ast.BinOp(left=left):
            return placeholder(left)
        case _:
            return "…"


REMEDIES = {
    "ConfigError": "correct the value that the line names",
    "ImageError": "open the file in another program, and save it as PNG or JPEG",
    "CheckpointError": "get another copy of the file, or the file of another network",
    "DataError": "change or remove the file that the line names",
    "InferenceError": "use another engine (`--engine`) or another model, and report the line",
    "DivergedError": "start again from the last save with a lower `learning_rate`",
}
"""What to do where a message does not say it."""


def page() -> str:
    """The page in Markdown."""
    found = messages()
    parts = [INTRODUCTION]
    for kind in CLASSES:
        about = " ".join((inspect.getdoc(kind) or "").split())
        parts.append(f"## {kind.__name__}\n\n{about}\n")
        if remedy := REMEDIES.get(kind.__name__):
            parts.append(f"If a line has no remedy: {remedy}.\n")
        own = [message.text for message in found if message.kind == kind.__name__]
        parts.append("\n".join(f"- {entry(text)}" for text in own) + "\n")
    return "\n".join(parts)


def entry(text: str) -> str:
    """A line of the page: the cause, and after an arrow the remedy."""
    cause, semicolon, remedy = text.rpartition("; ")
    return f"{cause} → {remedy}" if semicolon else text


if __name__ == "__main__":
    assert all(issubclass(kind, ProSRError) for kind in CLASSES)
    PAGE.write_text(page(), encoding="utf-8")
