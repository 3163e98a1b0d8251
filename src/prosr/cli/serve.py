"""`prosr serve`: the page and the HTTP API."""

from __future__ import annotations

import asyncio
import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_data_path

from prosr.cli.signals import signals_wait
from prosr.errors import ConfigError

# fmt: off
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen at.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen at; 0 chooses a free one.")]
Data = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for jobs and results (default: in the user's data folder).")]
MaxMemory = Annotated[str | None, typer.Option(metavar="SIZE", help="Memory limit for all processes together (default: half of the free memory).")]
Token = Annotated[str | None, typer.Option(envvar="PROSR_TOKEN", metavar="TEXT", help="Secret that clients must send; other users see it in the list of processes unless PROSR_TOKEN holds it.")]
NoAuth = Annotated[bool, typer.Option("--no-auth", metavar="", help="Serve other machines without a token.")]
Hosts = Annotated[list[str] | None, typer.Option("--allow-host", metavar="NAME...", help="Names of this machine that clients may use.")]
LimitsFile = Annotated[Path | None, typer.Option("--limits", metavar="FILE.toml", help="Limits that differ from the defaults.")]
Browser = Annotated[bool, typer.Option(help="Open the page in a browser.")]
# fmt: on


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8765,
    data: Data = None,
    max_memory: MaxMemory = None,
    token: Token = None,
    no_auth: NoAuth = False,
    allow_host: Hosts = None,
    limits: LimitsFile = None,
    browser: Browser = True,
) -> None:
    """Serve a page in the browser and an HTTP API that enlarge pictures.

    Accepted jobs and finished results survive a restart. Needs the extra `web`.

    Example: prosr serve --port 8765 --max-memory 4G
    """
    if not (token or no_auth or host in ("127.0.0.1", "::1", "localhost")):
        raise ConfigError(f"{host} can be reached from other machines; give --token, or --no-auth")
    with signals_wait():
        from prosr.inference.memory import default_memory, parse_size
        from prosr.serve import running

    def announce(url: str) -> None:
        typer.echo(f"prosr serves {url} (Ctrl-C stops it)")
        if browser:
            webbrowser.open(url)

    folder = data or user_data_path("prosr", appauthor=False) / "serve"
    memory = default_memory() if max_memory is None else parse_size(max_memory)
    access = (host, port), token, allow_host or [], announce
    asyncio.run(running.serve(folder.absolute(), limits, memory, *access))
