"""The HTTP API below /v1."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from secrets import token_urlsafe
from typing import Annotated, Any, BinaryIO, Literal, cast

from fastapi import APIRouter, Depends, Form, Header, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from prosr.serve.service import Denied, Service
from prosr.serve.spool import PREVIEWS
from prosr.serve.store import ENDED, StoredJob, StoredPicture

router = APIRouter(prefix="/v1")

_HEARTBEAT, _CALM = 2.0, 0.2  # seconds between signs of life, and at least between two events

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file; its ETag is its SHA-256.", "content": {"image/*": _BINARY}},
    206: {"description": "A range of the file.", "content": {"image/*": _BINARY}},
    304: {"description": "The client has this file already."},
}


class Options(BaseModel):
    """How to enlarge: the options of `prosr upscale`, of which at most one is a size."""

    model_config = ConfigDict(extra="forbid")

    scale: Annotated[float | None, Field(ge=1, le=16, examples=[4])] = None
    width: Annotated[PositiveInt | None, Field(examples=[3840])] = None
    height: Annotated[PositiveInt | None, Field(examples=[2160])] = None
    long_side: Annotated[PositiveInt | None, Field(examples=[3840])] = None
    megapixels: Annotated[PositiveFloat | None, Field(examples=[8.3])] = None
    fit: Annotated[str | None, Field(max_length=40, examples=["3840x2160"])] = None
    fill: Annotated[str | None, Field(max_length=40, examples=["3840x2160"])] = None
    print: Annotated[str | None, Field(max_length=40, examples=["60x40cm"])] = None
    dpi: Annotated[PositiveInt | None, Field(examples=[300])] = None
    keep_larger: bool = False
    quality: Annotated[int | None, Field(ge=1, le=100, description="JPEG, WebP, AVIF.")] = None
    lossless: bool = False
    strip: Annotated[bool, Field(description="Leave out metadata; keep colours.")] = False
    model: Annotated[str, Field(description="One of /v1/models; by default the first.")] = ""
    # Each strength is an interpolated network in the cache, so there must not be many.
    strength: Annotated[float, Field(ge=0, le=1), AfterValidator(lambda x: round(x, 2))] = 1.0
    format: Literal["jpeg", "png", "webp", "tiff", "avif"] | None = None
    ensemble: Annotated[bool, Field(description="Average 8 views: better, 8 times slower.")] = False


class OnePicture(Options):
    name: Annotated[str, Field(max_length=500, examples=["photo.png"])] = "picture"


class Pictures(Options):
    files: Annotated[list[UploadFile], Field(min_length=1)]


class PictureView(StoredPicture):
    """A picture now, and the share of its work that is done."""

    progress: Annotated[float, Field(ge=0, le=1, examples=[0.25])]


class JobView(BaseModel):
    """A job. `position` is the number of pictures before its next one; times are in seconds."""

    id: Annotated[str, Field(examples=["Xk3v9Qw2TzLr8nYbA1cD4g"])]
    state: Literal["queued", "running", "ended"]
    options: Annotated[dict[str, Any], Field(examples=[{"scale": 4.0, "model": "prosr-xs"}])]
    position: Annotated[int, Field(examples=[0])]
    seconds_left: Annotated[float | None, Field(description="An estimate.", examples=[12.5])]
    expires_in: Annotated[float | None, Field(description="After the end.", examples=[86_400])]
    pictures: list[PictureView]


class ModelView(BaseModel):
    name: Annotated[str, Field(examples=["progansr-xs"])]
    scales: Annotated[list[int], Field(examples=[[2, 4, 8]])]
    strength: Annotated[bool, Field(description="Has others than 1.", examples=[True])]


def _service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


Serving = Annotated[Service, Depends(_service)]


def _job(job: str, service: Serving) -> StoredJob:
    if found := service.store.job(job):
        return found
    raise Denied(404, "there is no such job; it may have expired")


Job = Annotated[StoredJob, Depends(_job)]


def _picture(number: int, job: Job, service: Serving) -> StoredPicture:
    pictures = service.store.pictures(job.id)
    if 0 <= number < len(pictures):
        return pictures[number]
    raise Denied(404, f"the job has no picture {number}; it has {len(pictures)}")


Picture = Annotated[StoredPicture, Depends(_picture)]
_ONCE = "A request that is repeated with the same key is not done twice."
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=200, description=_ONCE)]


@router.post(
    "/upscale",
    response_class=FileResponse,
    responses={200: _FILE[200]},
    openapi_extra={"requestBody": {"required": True, "content": {"image/*": _BINARY}}},
)
async def upscale(
    request: Request, service: Serving, options: Annotated[OnePicture, Query()], key: Key = None
) -> Response:
    """Enlarge one picture, the body of the request; the answer is the result."""
    with tempfile.TemporaryFile() as body:
        async for chunk in request.stream():
            await run_in_threadpool(body.write, chunk)
        source = options.name, cast(BinaryIO, body)
        job = await _submit(service, [source], options, key)
    # Without a key nobody can ask for the result again.
    forget = None if key else BackgroundTask(service.delete, job.id)
    while _view(service, job).state != "ended" and not await request.is_disconnected():
        if service.is_stopping() and not service.is_running(job.id):
            break
        await service.wait(_HEARTBEAT)
    (picture,) = service.store.pictures(job.id)
    if picture.result is None:
        await forget() if forget else None
        if picture.state == "failed":
            raise Denied(422, picture.reason)
        raise Denied(503, "the picture was not finished; send the request again", wait=10)
    answer = _send(request, service, picture, "result")
    answer.background = forget
    return answer


@router.post("/jobs", status_code=202)
async def submit(
    response: Response,
    service: Serving,
    form: Annotated[Pictures, Form(media_type="multipart/form-data")],
    key: Key = None,
) -> JobView:
    """Accept pictures to enlarge. Those that cannot be read fail; the others are enlarged."""
    sources = [(file.filename or "picture", file.file) for file in form.files]
    job = await _submit(service, sources, form, key)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return _view(service, job)


@router.get("/jobs/{job}")
async def job(job: Job, service: Serving) -> JobView:
    return _view(service, job)


@router.get(
    "/jobs/{job}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def events(job: Job, service: Serving) -> StreamingResponse:
    """The job whenever it changes, as server-sent events named job, until it has ended."""

    async def changes() -> AsyncIterator[str]:
        before = ""
        while (now := service.store.job(job.id)) is not None:
            view = _view(service, now)
            text = view.model_dump_json()
            yield f"event: job\ndata: {text}\n\n" if text != before else ": still here\n\n"
            before = text
            if view.state == "ended" or service.is_stopping():
                return
            # Many tiles are finished at once; a client need not see each.
            await asyncio.sleep(_CALM)
            await service.wait(_HEARTBEAT)

    return StreamingResponse(changes(), media_type="text/event-stream")


@router.delete("/jobs/{job}", status_code=204)
async def delete(job: Job, service: Serving) -> None:
    """Cancel a job, and delete its pictures and results."""
    await service.delete(job.id)


@router.delete("/jobs/{job}/pictures/{number}")
async def cancel(picture: Picture, job: Job, service: Serving) -> JobView:
    """Cancel a picture, unless it has ended."""
    await service.cancel(job.id, picture.number)
    return _view(service, job)


@router.get("/jobs/{job}/pictures/{number}/{file}", response_class=FileResponse, responses=_FILE)
async def file(
    request: Request,
    job: Job,
    picture: Picture,
    file: Literal["result", "source", "before.png", "after.png"],
    service: Serving,
) -> Response:
    """A file of a picture until its job expires: its result, or itself.

    before.png and after.png are a piece and its enlargement, made at once: a preview.
    """
    if file in PREVIEWS:
        await service.preview(job, picture)
    return _send(request, service, picture, file)


@router.get("/models")
async def models(service: Serving) -> list[ModelView]:
    """The models of this service; the first one is the default."""
    return [ModelView(**about) for about in service.models]


async def _submit(
    service: Service, sources: Sequence[tuple[str, BinaryIO]], options: Options, key: str | None
) -> StoredJob:
    """Write the sources to the spool and accept them as a job. Raises `Denied`."""
    if len(sources) > (most := service.limits.pictures):
        raise Denied(413, f"{len(sources)} pictures; send at most {most} at a time")
    names = service.limits.names
    chosen = options.model_dump(include=set(Options.model_fields))
    chosen["model"] = options.model or next(iter(names))
    if chosen["model"] not in names:
        raise Denied(422, f"no model is called {options.model!r}; known: {', '.join(names)}")
    service.check_room(sum(source.seek(0, 2) for _, source in sources))
    new, pictures, job = token_urlsafe(16), [], None
    try:
        for number, (name, source) in enumerate(sources):
            source.seek(0)
            write = service.spool.write
            pictures.append(await run_in_threadpool(write, new, number, name, source))
        asked_for = [chosen, *((picture.name, picture.sha256) for picture in pictures)]
        fingerprint = hashlib.sha256(json.dumps(asked_for, allow_nan=False).encode()).hexdigest()
        about: dict[str, Any] = {"id": new, "key": key}
        about |= {"fingerprint": fingerprint, "options": json.dumps(chosen, allow_nan=False)}
        asked = StoredJob(**about, created=service.store.now())
        job = await service.accept(asked, pictures)
    finally:
        if job is None or job.id != new:
            await run_in_threadpool(service.spool.remove, new)
    return job


def _view(service: Service, job: StoredJob) -> JobView:
    pictures, now = [], service.store.now()
    for p in service.store.pictures(job.id):
        running = service.running.get((job.id, p.number))
        share = 1.0 if p.state == "done" else running.share if running else 0.0
        pictures.append(PictureView.model_construct(**dict(p), progress=round(share, 3)))
    waiting = [picture for picture in pictures if picture.state == "queued"]
    position, before = service.store.queue(waiting[0]) if waiting else (0, 0)
    left = sum((1 - p.progress) * p.width * p.height for p in pictures if p.state not in ENDED)
    ended = all(picture.state in ENDED for picture in pictures)
    return JobView(
        id=job.id,
        state="ended" if ended else "running" if service.is_running(job.id) else "queued",
        options=job.options,
        position=position,
        seconds_left=round((left + before) / service.speed, 1) if service.speed else None,
        expires_in=job.ended and max(0.0, round(job.ended - now + service.limits.keep_seconds)),
        pictures=pictures,
    )


def _send(request: Request, service: Service, picture: StoredPicture, file: str) -> Response:
    """A file of the spool; 304 if the client has this one."""
    made, name, kind, etag = picture.result, file, "image/png", ""
    if file == "source":
        name, kind, etag = picture.name, picture.type, f'"{picture.sha256}"'
    elif file == "result":
        if made is None:
            raise Denied(409, f"the picture is {picture.state} and has no result")
        name, kind, etag = made.name, made.type, f'"{made.sha256}"'
    path = service.spool.place(picture.job, picture.number) / name
    if not path.is_file():
        raise Denied(404, f"the picture has no {file}; it may have expired")
    # Nothing that a client has sent may act as a page of this service.
    headers = {"Content-Security-Policy": "sandbox; default-src 'none'"}
    headers |= {"ETag": etag} if etag else {}
    if etag and etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(path, headers=headers, media_type=kind, filename=name)
