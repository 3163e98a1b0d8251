"""An S3 server on loopback that fails, stalls and lists late on purpose: moto's, wrapped."""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any


def faulty(app: Any, errors: float, stalls: float, late: float) -> Callable[..., Iterable[bytes]]:
    """A WSGI application that answers for `app`.

    It answers 500 or 503 to a share of `errors` of the requests without doing them, waits 8 s
    before a share of `stalls`, and leaves objects out of listings for `late` seconds.
    """
    chance = random.Random(0)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if chance.random() < errors:
            status = chance.choice(["500 Internal Server Error", "503 Slow Down"])
            start(status, [("Content-Length", "0")])
            return [b""]
        if chance.random() < stalls:
            time.sleep(8)
        if "list-type=2" not in environ["QUERY_STRING"] or not late:
            answered: Iterable[bytes] = app(environ, start)
            return answered
        said: list[Any] = []
        listing = b"".join(app(environ, lambda *words: said.extend(words))).decode()
        newest = datetime.now(UTC) - timedelta(seconds=late)

        def seen(found: re.Match[str]) -> str:
            changed = datetime.fromisoformat(found[1].replace("Z", "+00:00"))
            return found[0] if changed < newest else ""

        listing = re.sub(
            r"<Contents>.*?<LastModified>(.*?)</.*?</Contents>", seen, listing, flags=re.S
        )
        body = listing.encode()
        start(
            said[0],
            [
                *((k, v) for k, v in said[1] if k.lower() != "content-length"),
                ("Content-Length", str(len(body))),
            ],
        )
        return [body]

    return answer


def main() -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    port, errors, stalls, late = int(sys.argv[1]), *map(float, sys.argv[2:5])
    app = faulty(DomainDispatcherApplication(create_backend_app), errors, stalls, late)
    run_simple("127.0.0.1", port, app, threaded=True)


if __name__ == "__main__":
    main()
