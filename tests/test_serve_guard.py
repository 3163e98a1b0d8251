"""What every request to the service passes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import prometheus_client
import pytest
from fastapi.responses import PlainTextResponse

from prosr.serve.guard import Guard
from prosr.serve.settings import Limits


def guarded(token: str | None = None, requests: int = 100) -> Guard:
    service: Any = SimpleNamespace(limits=Limits(requests=requests), check_room=lambda size: None)
    registry = prometheus_client.CollectorRegistry()
    return Guard(PlainTextResponse("ok"), service, token, ["prosr.example"], registry)


def ask(
    guard: Guard, method: str = "GET", path: str = "/v1/models", **headers: str
) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8765"
        ) as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers=named)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8765", 200),
        ("localhost", 200),
        ("[::1]:8765", 200),
        ("prosr.example", 200),
        ("evil.example:8765", 400),
        ("127.0.0.1.evil.example", 400),
        ("", 400),
        ("[::1", 400),
    ],
)
def test_a_name_that_was_rebound_to_this_machine_is_refused(host: str, status: int) -> None:
    assert ask(guarded(), host=host).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://127.0.0.1:8765"}, 200),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://evil.example?://127.0.0.1:8765"}, 403),
        ({"origin": "https://127.0.0.1:8765"}, 200),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({}, 200),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_requests_from_pages_of_other_sites_are_refused(
    method: str, headers: dict[str, str], status: int
) -> None:
    assert ask(guarded(), method, **headers).status_code == status


def test_a_link_from_another_site_opens_the_page() -> None:
    assert ask(guarded(), path="/", sec_fetch_site="cross-site").status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/openapi.json"])
def test_a_token_is_asked_for(path: str) -> None:
    guard = guarded("secret")
    assert ask(guard, path=path, authorization="Bearer secret").status_code == 200
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "secret"}):
        answer = ask(guard, path=path, **headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/page.js", "/healthz", "/readyz"])
def test_the_page_itself_and_health_need_no_token(path: str) -> None:
    assert ask(guarded("secret"), path=path).status_code == 200


def test_a_client_that_submits_too_often_is_told_how_long_to_wait() -> None:
    guard = guarded(requests=2)
    answers = [ask(guard, "POST") for _ in range(3)]
    # A minute may end in between, after which two more are allowed.
    assert [answer.status_code for answer in answers] in ([200, 200, 429], [200, 200, 200])
    refused = next(a for a in (*answers, ask(guard, "POST"), ask(guard, "POST")) if a.is_error)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert ask(guard).status_code == 200


def test_every_answer_keeps_browsers_from_loading_anything_else() -> None:
    for answer in (ask(guarded()), ask(guarded(), host="evil.example")):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'")
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
