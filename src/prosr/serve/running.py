"""Starts the service and its server, in this order, because the server's imports take long."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from prosr.errors import ConfigError
from prosr.files import only_here
from prosr.serve.pool import INSPECTOR
from prosr.serve.service import Service
from prosr.serve.settings import read_limits


async def serve(
    folder: Path,
    limits_file: Path | None,
    max_memory: int,
    address: tuple[str, int],
    token: str | None,
    hosts: Sequence[str],
    announce: Callable[[str], None],
) -> None:
    """Serve until a signal. `announce` is called with the URL as soon as requests are answered.

    Raises `ConfigError` or `ProSRError` for a folder, limits or an address of no use.
    """
    limits = read_limits(limits_file)
    os.umask(0o077)
    with only_here(folder):
        # Bodies of requests are files without names on the disk of the spool.
        tempfile.tempdir = str(folder)
        service = Service(folder, limits, max_memory)
        try:
            for name in (service.plan.workers[0], INSPECTOR):
                await service.pool.start(name)
            # The processes start while this imports.
            import uvicorn

            from prosr.serve.app import create_app

            config = uvicorn.Config(create_app(service, token, hosts), ws="none", log_config=None)
            config.timeout_graceful_shutdown = int(limits.grace_seconds)
            config.access_log = config.server_header = False
            server = uvicorn.Server(config)
            service.is_stopping = lambda: server.should_exit
            host, port = address
            try:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                listening = socket.create_server(address, family=family, backlog=512)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else error
                line = f"{host}:{port}: {reason}; give another --host or --port"
                raise ConfigError(line) from error
            name = f"[{host}]" if ":" in host else host
            await service.start()
            announce(f"http://{name}:{listening.getsockname()[1]}/")
            await server.serve([listening])
        finally:
            await service.stop()
