"""Write the pages of the documentation site into build/pages, for mkdocs.yml.

python docs/make_site.py

Pages are the documents of this repository, and the reference that the code itself states. Files
that they link to are copied beside them, so that the site works from a folder.
"""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from prosr.cli import app
from prosr.config import Adversarial, Curriculum, Recipe, Simultaneous, Single
from prosr.data.pipelines import Degradation

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build" / "pages"
ERRORS = ROOT / "src" / "prosr" / "errors.md"
LINK = re.compile(r"(\]\(|src=\"|href=\")(?!https?://|#|mailto:)([^)\s\"#]+)")

CODE = {".py", ".toml", ".cff", ""}
"""Files that browsers would download."""

PYTHON = """# Python

`import prosr` gives `load`, `Upscaler`, `psnr` and `ssim`. Import everything else from its module.
What this page lists stays as it is until the next minor version.

```python
import prosr

upscaler = prosr.load()
larger = upscaler.upscale(picture, scale=4)
```

## Enlarge

::: prosr.load
::: prosr.inference.upscaler.Upscaler
    options:
      members: [upscale, estimate, memory, scales]
::: prosr.inference.pil.upscale_pil
::: prosr.sizes.choose

## Score

::: prosr.psnr
::: prosr.ssim
::: prosr.resample.make_input

## Models

::: prosr.models.bundled_models
::: prosr.models.find_weights
::: prosr.checkpoints.export.export

## Train

::: prosr.config.load_recipe
::: prosr.training.curriculum.stage_at
::: prosr.training.losses

## Errors

::: prosr.errors
"""


def main() -> None:
    """Write all pages."""
    shutil.rmtree(PAGES, ignore_errors=True)
    documents = {path: Path(path.name) for path in sorted((ROOT / "docs").glob("*.md"))}
    documents |= {
        ROOT / name: Path(name) for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
    }
    documents |= {ROOT / "README.md": Path("index.md"), ERRORS: Path("errors.md")}
    cards = sorted((ROOT / "src" / "prosr" / "weights").glob("*.md"))
    documents |= {card: Path("models", card.name) for card in cards}
    for source, page in documents.items():
        write(page, linked(source, page, documents))
    write(Path("python.md"), PYTHON)
    write(Path("commands.md"), "\n".join(commands()))
    write(Path("recipes.md"), "\n".join(recipes()))


def write(page: Path, text: str) -> None:
    path = PAGES / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def linked(source: Path, page: Path, documents: dict[Path, Path]) -> str:
    """The text of a document whose links lead to pages, or to copies of files."""

    def replace(found: re.Match[str]) -> str:
        target = (source.parent / found[2]).resolve()
        if not target.exists() or not target.is_relative_to(ROOT):
            raise SystemExit(f"{source}: links to {found[2]}, which does not exist")
        up = Path(*[".."] * (len(page.parts) - 1))
        return f"{found[1]}{(up / (documents.get(target) or copied(target))).as_posix()}"

    return LINK.sub(replace, source.read_text(encoding="utf-8"))


def copied(target: Path) -> Path:
    """The page that lists a folder, or a copy of a file; browsers show code as text."""
    inside = target.relative_to(ROOT)
    place = Path("files") / inside
    if target.is_dir():
        names = sorted(one.name for one in target.iterdir() if not one.name.startswith(("_", ".")))
        write(place / "index.md", "\n".join((f"# {inside}\n", *(f"- {name}" for name in names))))
        return place / "index.md"
    if target.suffix in CODE:
        place = place.with_name(f"{place.name}.txt")
    (PAGES / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(target, PAGES / place)
    return place


def commands() -> Iterator[str]:
    """The reference of the command line, from its parser."""
    yield "# Commands\n"
    yield "Exit codes: 0 all done, 1 some files failed, 2 an impossible request, 70 a bug of prosr,"
    yield "129 hung up, 130 interrupted, 143 terminated.\n"
    group = typer.main.get_command(app)
    yield from describe(group, ("prosr",))


def describe(command: Any, name: Sequence[str]) -> Iterator[str]:
    """A command's help, arguments and options; those of a group's commands follow."""
    if subcommands := getattr(command, "commands", {}):
        for word, one in subcommands.items():
            yield from describe(one, (*name, word))
        return
    yield f"## {' '.join(name)}\n\n{command.help or ''}\n"
    yield "| option | default | what |\n|---|---|---|"
    for one in command.params:
        words = ", ".join(f"`{word}`" for word in (*one.opts, *one.secondary_opts))
        metavar = "" if getattr(one, "is_flag", False) else f" {one.metavar or ''}"
        default = one.default
        known = default is not None and not callable(default) and default not in ((), False)
        text = " ".join(str(getattr(one, "help", "") or "").split()).replace("|", "\\|")
        metavar = metavar.replace("|", "\\|")
        yield f"| {words}{metavar} | {default if known else ''} | {text} |"
    yield ""


def recipes() -> Iterator[str]:
    """The keys of recipes, from the records that check them."""
    yield "# Recipes\n"
    yield "A recipe is a TOML file for `prosr train`. `--set key=value` replaces a key.\n"
    for record, title in (
        (Recipe, "Keys"),
        (Curriculum, "schedule: curriculum"),
        (Simultaneous, "schedule: simultaneous"),
        (Single, "schedule: single"),
        (Degradation, "degradation"),
        (Adversarial, "adversarial"),
    ):
        yield f"## {title}\n"
        yield from table(record)


def table(record: type[BaseModel]) -> Iterator[str]:
    """What a record's docstring says, and its keys with their defaults."""
    yield inspect.getdoc(record) or ""
    yield "\n| key | default |\n|---|---|"
    for name, field in record.model_fields.items():
        value = field.get_default(call_default_factory=True)
        yield f"| `{name}` | {'required' if field.is_required() else f'`{value!r}`'} |"
    yield ""


if __name__ == "__main__":
    main()
