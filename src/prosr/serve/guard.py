"""What every request passes: host, origin, token, rate and size; security headers; metrics.

Errors are problem documents (RFC 9457).
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlsplit

import prometheus_client as prometheus
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prosr.serve.service import Denied, Service

_LOG = logging.getLogger("prosr.serve")


class Problem(BaseModel):
    """`detail` is one line that names the value and the remedy, `errors` has all such lines."""

    type: str = "about:blank"
    title: Annotated[str, Field(examples=["Unprocessable Entity"])]
    status: Annotated[int, Field(examples=[422])]
    detail: Annotated[str, Field(examples=["photo.png: empty file"])]
    errors: list[str] = []


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """The answer for anything that is raised while a request is handled."""
    headers: dict[str, str] = {}
    match error:
        case Denied():
            status, lines = error.status, list(error.reasons)
            if error.wait is not None:
                headers["Retry-After"] = str(error.wait)
            if status == 401:
                headers["WWW-Authenticate"] = "Bearer"
        case RequestValidationError():
            errors = error.errors()
            lines = [f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in errors]
            status = 422
        case HTTPException():
            status, lines = error.status_code, [f"{request.url.path}: {error.detail}"]
            headers |= error.headers or {}
        case ClientDisconnect():
            status, lines = 400, ["the connection ended within the request; send it again"]
        case OSError() | sqlite3.Error():
            _LOG.error("the disk of the service cannot be written: %s", error)
            status, lines = 507, ["the disk of the service cannot be written; try again later"]
        case _:
            status, lines = 500, ["an error of the service; its log says more"]
    title = HTTPStatus(status).phrase
    body = Problem(title=title, status=status, detail=lines[0], errors=lines).model_dump()
    return JSONResponse(body, status, headers, media_type="application/problem+json")


_CAUGHT = Denied, RequestValidationError, HTTPException, ClientDisconnect, OSError
HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    kind: answer_error for kind in (*_CAUGHT, sqlite3.Error, Exception)
}
_ABOUT = {
    "4XX": "400 malformed, 401 no token, 403 from another site's page, 404 unknown or expired, 409 "
    "no result yet, 413 too large, 422 an option or picture that cannot be used, 429 too many "
    "requests; Retry-After has the seconds to wait.",
    "5XX": "503 the queue is full, or the service starts or stops; Retry-After has the seconds to "
    "wait. 507 the disk is full.",
}
_CONTENT = {"application/problem+json": {"schema": Problem.model_json_schema()}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    statuses: {"description": about, "content": _CONTENT} for statuses, about in _ABOUT.items()
}
"""What every route may answer, for OpenAPI."""

_SECURED = ("/v1/", "/metrics", "/openapi.json")
"""What needs the token: all but the page's own files and the health checks."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Guard:
    """ASGI middleware. `hosts` are names that clients may use besides addresses and localhost."""

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        token: str | None,
        hosts: Collection[str],
        registry: prometheus.CollectorRegistry,
    ) -> None:
        self._app, self._service = app, service
        self._token = f"Bearer {token}".encode() if token else None
        self._hosts = {"localhost", *(host.lower() for host in hosts)}
        self._minute, self._posts = 0, Counter[str]()
        about = "prosr_request_seconds", "Until the answer begins", ("method", "route", "status")
        self._seconds = prometheus.Histogram(*about, registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        start, received = time.monotonic(), 0

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                route = getattr(scope.get("route"), "path", "other")
                labels = scope["method"], route, message["status"]
                self._seconds.labels(*labels).observe(time.monotonic() - start)
            await send(message)

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            self._check_size(received)
            return message

        request = Request(scope)
        try:
            self._check(request)
        except (Denied, sqlite3.Error, OSError) as error:
            answer = await answer_error(request, error)
            return await answer(scope, receive, sending)
        await self._app(scope, receiving, sending)

    def _check(self, request: Request) -> None:
        """Raise `Denied` for a request that must not reach the application."""
        headers, path = request.headers, request.scope["path"]
        host = headers.get("host", "")
        if not self._knows(host):
            line = f"the host {host[:100]!r} is not known here; allow it with --allow-host"
            raise Denied(400, line)
        # A page of another site may send requests, though it cannot read the answers.
        own = f"http://{host}", f"https://{host}"
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site") and path != "/"
        if foreign or headers.get("origin", own[0]) not in own:
            raise Denied(403, "requests from pages of other sites are refused")
        sent = headers.get("authorization", "").encode()
        authorized = self._token is None or secrets.compare_digest(sent, self._token)
        if path.startswith(_SECURED) and not authorized:
            line = "the token is missing or wrong; send it as: Authorization: Bearer TOKEN"
            raise Denied(401, line)
        size = int(headers.get("content-length", 0))
        self._check_size(size)
        if request.method == "POST":
            self._count(request.client.host if request.client else "")
            self._service.check_room(size)

    def _knows(self, host: str) -> bool:
        """Whether the host is an address, localhost or allowed; a rebound name is none of these."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._hosts or bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _count(self, client: str) -> None:
        minute, second = divmod(int(time.monotonic()), 60)
        if minute != self._minute:
            self._minute, self._posts = minute, Counter()
        self._posts[client] += 1
        if self._posts[client] > (most := self._service.limits.requests):
            raise Denied(429, f"more than {most} requests in a minute; wait", wait=60 - second)

    def _check_size(self, size: int) -> None:
        if size > (most := self._service.limits.upload_bytes):
            raise Denied(413, f"a request takes at most {most / 1e6:g} MB; send fewer pictures")
