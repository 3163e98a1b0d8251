"""The program of a worker process: inspects, previews and enlarges pictures of the spool.

`python -m prosr.serve.worker` reads and writes a JSON object a line. It ends with the server, whose
end closes its standard input.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import signal
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter
from typing import Any

from prosr.errors import ProSRError
from prosr.images.formats import find_format, is_picture
from prosr.images.reading import Picture, upright
from prosr.images.samples import to_unit
from prosr.images.writing import Canvas
from prosr.inference.choosing import network_for
from prosr.inference.loading import find_model, load
from prosr.inference.upscaler import Upscaler
from prosr.jobs import find, run
from prosr.models import find_weights
from prosr.serve.spool import PREVIEWS
from prosr.sizes import Request, choose, requested

Message = dict[str, Any]

_PREVIEW = 512
"""Side in pixels of a preview's result."""

_model = lru_cache(16)(find_model)


class Channel:
    """The pipes to the server. A thread reads, to end with the server at once."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "wb", buffering=0)
        # What a library prints is no answer.
        os.dup2(2, 1)
        self.tasks: SimpleQueue[Message] = SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, message: Message) -> None:
        self._answers.write(json.dumps(message, allow_nan=False).encode() + b"\n")

    def _listen(self) -> None:
        for line in sys.stdin:
            self.tasks.put(json.loads(line))
        # Nothing may be written any more, not even by a library's thread.
        os.kill(os.getpid(), signal.SIGKILL)


class Workshop:
    """What a worker can do. It keeps the upscaler that it used last.

    Folders of tasks are current while they are done, so that no message holds a path of the spool.
    """

    def __init__(self, channel: Channel, memory: int, model: str) -> None:
        self._channel, self._memory = channel, memory
        self._loaded: tuple[tuple[Any, ...], Upscaler] | None = None
        with suppress(ProSRError):
            self._upscaler({"model": model, "strength": 1.0, "ensemble": False})

    def do(self, task: Message) -> Message:
        """Do a task; return its answer, or why it failed."""
        tasks = (self.describe, self.inspect, self.preview, self.enlarge)
        try:
            os.chdir(task.get("folder", "/"))
            return {known.__name__: known for known in tasks}[task["do"]](task)
        except ProSRError as error:
            return {"failed": str(error)}
        # Even a bug of prosr must not end the worker.
        except Exception:
            logging.exception("a worker could not %s", task["do"])
            return {"failed": f"{task.get('name')}: an error of the service; its log says more"}

    def describe(self, task: Message) -> Message:
        models = []
        for name, model in task["models"].items():
            chosen, _ = network_for(model)
            strength, scales = "partner" in find_weights(chosen).card, _model(chosen, 1.0).scales
            models.append({"name": name, "scales": scales, "strength": strength})
        return {"models": models}

    def inspect(self, task: Message) -> Message:
        """Read a picture's header, and check that the model can do what the options ask for.

        A name without a suffix gets that of the content.
        """
        options, path = task["options"], Path(task["name"])
        model = _model(network_for(options["model"])[0], options["strength"])
        picture, request = Picture(path), _request(options)
        if not is_picture(path):
            path = path.rename(path.with_name(f"{path.name}.{picture.format.lower()}"))
        about = {"name": path.name, "type": f"image/{picture.format.lower()}"}
        size, direct = (picture.height, picture.width), model.name == "bicubic"
        pixels = math.prod(request.route(size, model.scales, direct=direct).size)
        return {**about, "width": size[1], "height": size[0], "pixels": pixels}

    def enlarge(self, task: Message) -> Message:
        """Enlarge a picture beside itself, as `prosr upscale` does."""
        start, options, request = perf_counter(), task["options"], _request(task["options"])
        wanted = find_format(options["format"]) if options["format"] else None
        upscaler, choice = self._upscaler(options, Path(task["name"]))
        jobs = find([task["name"]], request, None, wanted)
        (outcome,) = run(upscaler, jobs, request, starting=lambda job: self._report)
        if outcome.error:
            raise outcome.error
        if outcome.status == "failed":
            return {"failed": outcome.reason}
        made = Picture(outcome.job.target)
        with made.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        about = {"name": made.path.name, "type": f"image/{made.format.lower()}", "sha256": sha256}
        size = {"width": made.width, "height": made.height, "bytes": made.path.stat().st_size}
        result = {**about, **size, "seconds": round(perf_counter() - start, 3)}
        # "skipped": finished, but the server ended before it knew.
        remark = "; ".join(filter(None, (choice, outcome.reason, *outcome.notes)))
        return {"result": result, "remark": remark if outcome.status == "made" else ""}

    def preview(self, task: Message) -> Message:
        """Enlarge a piece from the picture's middle; write it and its result as PNG."""
        picture = Picture(Path(task["name"]))
        upscaler, _ = self._upscaler(task["options"], picture.path)
        route = upscaler.route((picture.height, picture.width), _request(task["options"]))
        ratio, shown = max(1.0, round(float(route.ratio), 2)), picture.metadata.stripped()
        piece = upright(picture.middle(int(_PREVIEW / ratio)), shown.orientation)
        before, after = map(Path, PREVIEWS)
        form, (height, width, channels) = find_format("png"), piece.shape
        dtype = min(piece.dtype, form.deepest, key=lambda dtype: dtype.itemsize)
        with Canvas(before, form, (height, width), channels, dtype, shown) as canvas:
            canvas.put(0, 0, to_unit(piece))
            canvas.save()
        upscaler.upscale(before, requested(ratio), output=after)
        return {}

    def _report(self, done: int, total: int) -> None:
        self._channel.send({"share": done / total})

    def _upscaler(self, options: Message, path: Path | None = None) -> tuple[Upscaler, str]:
        """The upscaler for a picture, and what "auto" has chosen, in words."""
        model, choice = network_for(options["model"], path)
        wanted = model, options["strength"], options["ensemble"]
        if self._loaded is None or self._loaded[0] != wanted:
            # Two models at a time might not fit into the memory.
            self._loaded, rest = None, {"strength": wanted[1], "ensemble": wanted[2]}
            self._loaded = wanted, load(model, max_memory=self._memory, **rest)
        return self._loaded[1], choice


def _request(options: Message) -> Request:
    names = ("format", "model", "strength", "ensemble")
    return choose({k.replace("_", "-"): v for k, v in options.items() if k not in names})


def main(memory: str, nice: str, model: str) -> None:
    # The server decides when a worker ends.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    os.nice(int(nice))
    channel = Channel()
    workshop = Workshop(channel, int(memory), model)
    while True:
        channel.send(workshop.do(channel.tasks.get()))


if __name__ == "__main__":
    main(*sys.argv[1:])
