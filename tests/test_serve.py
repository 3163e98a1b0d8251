"""The service over HTTP: a real server on the loopback address."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from prosr.cli import app
from prosr.inference.choosing import CLEAN, ROBUST
from serving import Serving, picture, serving, wait_until

LIMITS = "upload_bytes = 300_000\ninput_pixels = 200_000\noutput_pixels = 3_000_000\npictures = 3\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("serve")
    (folder / "limits.toml").write_text(LIMITS)
    with serving(folder / "data", "--limits", str(folder / "limits.toml")) as running:
        yield running


@pytest.fixture
def small(tmp_path: Path) -> tuple[str, bytes]:
    return picture(tmp_path, "photo.png", 20, 16)


def test_a_result_has_the_bytes_that_the_command_line_writes(
    server: Serving, tmp_path: Path
) -> None:
    files = [picture(tmp_path, f"photo{suffix}", 20, 16) for suffix in (".png", ".jpg", ".webp")]
    job = server.ended(server.submit(*files, scale=2)["id"])
    for made in job["pictures"]:
        source = server.place(made) / made["name"]
        output = tmp_path / f"again{source.suffix}"
        words = ["upscale", str(source), "-s", "2", "-o", str(output)]
        assert CliRunner().invoke(app, words).exit_code == 0
        result = server.client.get(f"/v1/jobs/{job['id']}/pictures/{made['number']}/result")
        assert result.content == output.read_bytes()


def test_one_picture_in_one_picture_out(server: Serving, small: tuple[str, bytes]) -> None:
    options = {"scale": "2", "model": "bicubic", "name": "../a/b.png", "format": "jpeg"}
    before = set((server.data / "jobs").iterdir())
    answer = server.client.post("/v1/upscale", content=small[1], params=options)
    assert answer.content.startswith(b"\xff\xd8"), answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="b_x2.jpg"'
    # Without a key nothing stays.
    wait_until(lambda: set((server.data / "jobs").iterdir()) == before)


def test_a_picture_gets_the_size_that_is_asked_for(
    server: Serving, small: tuple[str, bytes]
) -> None:
    options = {"model": "bicubic", "fit": "50x50", "name": "a.png"}
    answer = server.client.post("/v1/upscale", content=small[1], params=options)
    with Image.open(BytesIO(answer.content)) as result:
        assert result.size == (50, 40)


def test_a_picture_without_a_name_keeps_its_format(server: Serving, tmp_path: Path) -> None:
    _, data = picture(tmp_path, "x.jpg", 9, 8)
    answer = server.client.post("/v1/upscale", content=data, params={"model": "bicubic"})
    assert answer.headers["content-disposition"] == 'attachment; filename="picture_x4.jpeg"'
    assert answer.content.startswith(b"\xff\xd8")


def test_events_tell_of_a_job_until_it_has_ended(server: Serving, small: tuple[str, bytes]) -> None:
    job = server.submit(small, model="bicubic")["id"]
    with server.client.stream("GET", f"/v1/jobs/{job}/events") as stream:
        lines = [line for line in stream.iter_lines() if line.startswith("data: ")]
    views = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert views[-1]["state"] == "ended"
    assert views[-1]["pictures"][0]["progress"] == 1
    assert views == sorted(views, key=lambda view: view["pictures"][0]["progress"])


def test_a_broken_picture_fails_alone_in_the_words_of_the_command_line(
    server: Serving, small: tuple[str, bytes], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(small[1][:100])
    job = server.ended(server.submit(small, (broken.name, broken.read_bytes()))["id"])
    assert [made["state"] for made in job["pictures"]] == ["done", "failed"]
    program = [sys.executable, "-m", "prosr", "upscale", broken.name]
    said = subprocess.run(program, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert said.stderr == f"error: {job['pictures'][1]['reason']} [ImageError]\n"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"scale": 20}, "scale: Input should be less than or equal to 16"),
        ({"fit": "wide"}, "fit 'wide' is not a size; write 3840x2160"),
        ({"scale": 2, "width": 100}, "scale, width: give one of scale"),
        (
            {"model": "nobody"},
            "no model is called 'nobody'; known: auto, prosr-xs, ",
        ),
        ({"sclae": 4}, "sclae: Extra inputs are not permitted"),
        ({"strength": 0.5}, "prosr-xs-real has one strength only"),
        ({"format": "bmp"}, "format: Input should be 'jpeg', 'png', 'webp', 'tiff' or 'avif'"),
    ],
)
def test_an_option_of_no_use_is_refused(
    server: Serving, small: tuple[str, bytes], fields: dict[str, str], reason: str
) -> None:
    answer = server.client.post("/v1/jobs", files=[("files", small)], data=fields)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith(reason)


def test_too_many_bytes_are_refused_whether_announced_or_not(server: Serving) -> None:
    data = bytes(400_000)
    announced = server.client.post("/v1/upscale", content=data)
    streamed = server.client.post("/v1/upscale", content=iter([data[:200_000], data[200_000:]]))
    for answer in (announced, streamed):
        assert answer.status_code == 413
        assert answer.json()["detail"] == "a request takes at most 0.3 MB; send fewer pictures"


def test_too_many_pictures_are_refused(server: Serving, small: tuple[str, bytes]) -> None:
    answer = server.client.post("/v1/jobs", files=[("files", small)] * 4)
    assert (answer.status_code, answer.json()["detail"]) == (
        413,
        "4 pictures; send at most 3 at a time",
    )


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((700, 300), "it has 0.2 megapixels, and this service takes 0.2; reduce it"),
        ((500, 400), "its result would have 3.2 megapixels, and this service takes 3; reduce it"),
    ],
)
def test_too_many_pixels_are_refused(
    server: Serving, tmp_path: Path, size: tuple[int, int], reason: str
) -> None:
    name, data = picture(tmp_path, "large.jpg", *size)
    answer = server.client.post("/v1/upscale", content=data, params={"name": name})
    assert (answer.status_code, answer.json()["detail"]) == (422, f"{name}: {reason}")


def test_a_request_with_the_same_key_is_done_once(
    server: Serving, small: tuple[str, bytes], tmp_path: Path
) -> None:
    first = server.submit(small, model="bicubic", key="a")
    assert server.submit(small, model="bicubic", key="a")["id"] == first["id"]
    other = picture(tmp_path, "other.png", 20, 16, seed=1)
    headers = {"Idempotency-Key": "a"}
    answer = server.client.post("/v1/jobs", files=[("files", other)], headers=headers)
    assert answer.status_code == 422
    assert "Idempotency-Key belongs to another request" in answer.json()["detail"]


def test_a_result_has_an_etag_and_ranges(server: Serving, small: tuple[str, bytes]) -> None:
    job = server.ended(server.submit(small, model="bicubic")["id"])
    url = f"/v1/jobs/{job['id']}/pictures/0/result"
    whole = server.client.get(url)
    assert whole.headers["etag"] == f'"{job["pictures"][0]["result"]["sha256"]}"'
    again = server.client.get(url, headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = server.client.get(url, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, whole.content[5:10])


def test_a_deleted_job_leaves_nothing(server: Serving, small: tuple[str, bytes]) -> None:
    job = server.ended(server.submit(small, model="bicubic")["id"])
    assert server.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert not server.place(job["pictures"][0]).parent.exists()
    answer = server.client.get(f"/v1/jobs/{job['id']}/pictures/0/result")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no such job; it may have expired"


def test_a_running_picture_can_be_cancelled(server: Serving, tmp_path: Path) -> None:
    files = [picture(tmp_path, name, 400, 300) for name in ("a.jpg", "b.jpg")]
    job = server.submit(*files, scale=2)["id"]
    wait_until(lambda: server.client.get(f"/v1/jobs/{job}").json()["state"] == "running")
    assert server.client.delete(f"/v1/jobs/{job}/pictures/0").status_code == 200
    assert [p["state"] for p in server.ended(job)["pictures"]] == ["cancelled", "done"]


def test_a_preview_is_made_while_other_work_runs_and_waits(server: Serving, tmp_path: Path) -> None:
    files = [picture(tmp_path, f"{number}.jpg", 400, 400, number) for number in range(3)]
    job = server.submit(*files, scale=4)["id"]
    pieces = []
    for kind in ("before", "after"):
        answer = server.client.get(f"/v1/jobs/{job}/pictures/2/{kind}.png")
        pieces.append(Image.open(BytesIO(answer.content)))
    states = [p["state"] for p in server.client.get(f"/v1/jobs/{job}").json()["pictures"]]
    assert states[2] == "queued" and "done" not in states
    server.client.delete(f"/v1/jobs/{job}")
    assert [piece.size for piece in pieces] == [(128, 128), (512, 512)]
    whole = Image.open(BytesIO(files[2][1]))
    middle = np.asarray(whole.crop((136, 136, 264, 264)), float)
    assert np.abs(np.asarray(pieces[0], float) - middle).mean() < 1


def test_a_preview_is_upright_and_has_no_metadata(server: Serving, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    data = BytesIO()
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:10] = 255  # the upper half as stored is the right half, upright
    Image.fromarray(pixels).save(data, "PNG", exif=exif)
    job = server.submit(("a.png", data.getvalue()), scale=2, model="bicubic")["id"]
    answer = server.client.get(f"/v1/jobs/{job}/pictures/0/after.png")
    with Image.open(BytesIO(answer.content)) as piece:
        assert piece.size == (40, 60)
        assert piece.getpixel((35, 5)) == (255, 255, 255)
        assert 0x010F not in piece.getexif()
        assert piece.getexif().get(0x0112, 1) == 1


def test_metadata_can_be_left_out(server: Serving, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    for strip in (True, False):
        options = {"model": "bicubic", "strip": strip}
        data = (tmp_path / "a.jpg").read_bytes()
        answer = server.client.post("/v1/upscale", content=data, params=options)
        with Image.open(BytesIO(answer.content)) as result:
            assert (0x010F in result.getexif()) != strip


def test_the_api_is_described_with_examples(server: Serving) -> None:
    schemas = server.client.get("/openapi.json").json()["components"]["schemas"]
    for name in ("JobView", "PictureView", "Result", "ModelView"):
        for field, about in schemas[name]["properties"].items():
            assert about.keys() & {"examples", "enum", "$ref", "anyOf", "items"}, (name, field)


def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("queue = 2\nkeep_seconds = 1\n")
    large = picture(tmp_path, "a.png", 600, 600)
    with serving(tmp_path / "data", "--limits", str(tmp_path / "limits.toml")) as server:
        # One runs, two wait.
        job = server.submit(large, large, large)["id"]
        wait_until(lambda: server.client.get(f"/v1/jobs/{job}").json()["state"] == "running")
        for path, more in (("jobs", {"files": [("files", large)]}), ("upscale", {"content": b"x"})):
            answer = server.client.post(f"/v1/{path}", **more)
            assert answer.status_code == 503
            assert answer.json()["detail"] == "2 pictures wait already; try again later"
            assert 1 <= int(answer.headers["retry-after"]) <= 600
        # What has expired is gone.
        server.client.delete(f"/v1/jobs/{job}/pictures/0")
        server.client.delete(f"/v1/jobs/{job}/pictures/1")
        server.client.delete(f"/v1/jobs/{job}/pictures/2")
        wait_until(lambda: server.client.get(f"/v1/jobs/{job}").status_code == 404)
        assert not list((server.data / "jobs").iterdir())


@pytest.mark.slow
def test_a_picture_that_takes_too_long_fails_and_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("seconds = 10\n")
    files = [picture(tmp_path, "a.jpg", 2500, 2500), picture(tmp_path, "b.jpg", 20, 20)]
    with serving(tmp_path / "data", "--limits", str(tmp_path / "limits.toml")) as server:
        slow, quick = server.ended(server.submit(*files, scale=8)["id"])["pictures"]
        assert slow["reason"] == "a.jpg: took more than 10 seconds; reduce it"
        assert quick["state"] == "done"


def test_the_disk_of_uploads_and_results_is_limited(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("disk_bytes = 10_000\n")
    small = picture(tmp_path, "a.png", 30, 30)
    with serving(tmp_path / "data", "--limits", str(tmp_path / "limits.toml")) as server:
        server.ended(server.submit(small, scale=2, model="bicubic")["id"])
        post = server.client.post
        wait_until(lambda: post("/v1/upscale", content=small[1]).status_code == 507)
        detail = post("/v1/upscale", content=small[1]).json()["detail"]
        assert detail == "the disk is full; delete jobs, or wait until some expire"


def test_no_answer_names_a_folder_of_the_server(server: Serving, small: tuple[str, bytes]) -> None:
    broken = "x.tif", b"II*\0" + bytes(50)
    job = server.ended(server.submit(small, broken, model="bicubic")["id"])
    texts = [json.dumps(job), server.client.get("/metrics").text]
    for path in (
        "/v1/jobs/none",
        "/%2e%2e/pyproject.toml",
        f"/v1/jobs/{job['id']}/pictures/9/result",
    ):
        answer = server.client.get(path)
        assert answer.status_code == 404
        texts.append(answer.text + str(answer.headers))
    assert not [text for text in texts if str(server.data) in text]


def test_the_models_are_described(server: Serving) -> None:
    models = {model["name"]: model for model in server.client.get("/v1/models").json()}
    assert models["progansr-xs"] == {"name": "progansr-xs", "scales": [2, 4, 8], "strength": True}


def test_the_default_model_suits_the_picture_and_says_so(server: Serving, tmp_path: Path) -> None:
    assert server.client.get("/v1/models").json()[0]["name"] == "auto"
    job = server.submit(*(picture(tmp_path, f"a{suffix}", 20, 16) for suffix in (".png", ".jpg")))
    clean, compressed = server.ended(job["id"])["pictures"]
    assert clean["reason"] == f"{CLEAN} (not compressed)"
    assert compressed["reason"].startswith(f"{ROBUST} (JPEG ")


def test_metrics_count_requests_and_pictures(server: Serving, small: tuple[str, bytes]) -> None:
    server.ended(server.submit(small, model="bicubic")["id"])
    text = server.client.get("/metrics").text
    assert 'prosr_request_seconds_count{method="POST",route="/v1/jobs",status="202"}' in text
    assert 'prosr_pictures{state="done"}' in text


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines; give --token, or"),
        (["--max-memory", "500M"], "0.5 GB are too little memory; give at least 0.6 GB"),
        (["--limits", "none.toml"], "none.toml: not a readable TOML file"),
    ],
)
def test_a_start_of_no_use_is_refused_in_one_line(
    tmp_path: Path, words: list[str], reason: str
) -> None:
    program = [sys.executable, "-m", "prosr", "serve", "--data", str(tmp_path / "data"), *words]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {reason}")
    assert done.stderr.count("\n") == 1


def test_a_data_folder_and_a_port_belong_to_one_server(server: Serving, tmp_path: Path) -> None:
    for words, reason in (
        (["--data", str(server.data)], "used by another prosr process"),
        (
            ["--data", str(tmp_path), "--port", str(server.client.base_url.port)],
            "already in use; give",
        ),
    ):
        program = [sys.executable, "-m", "prosr", "serve", "--no-browser", *words]
        done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, reason in done.stderr) == (2, True), done.stderr


def test_the_documented_clients_work(
    server: Serving, small: tuple[str, bytes], tmp_path: Path
) -> None:
    text = (Path(__file__).parents[1] / "docs" / "service.md").read_text("utf-8")
    text = text.replace("http://127.0.0.1:8765/", str(server.client.base_url))
    (tmp_path / "photo.jpg").write_bytes(picture(tmp_path, "x.jpg", 20, 16)[1])
    (python,) = re.findall(r"^```text\n(import httpx\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    program = [sys.executable, "-W", "ignore", "-c", f"{python}\nprint(len(result))"]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert int(done.stdout) > 100, done.stderr
    curls = re.findall(r"^curl .*", text, re.MULTILINE)
    assert len(curls) == 2
    for line in curls if shutil.which("curl") else []:
        words = ["curl", "--fail", "--silent", *shlex.split(line)[1:]]
        assert subprocess.run(words, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "photo_x4.jpg").read_bytes().startswith(b"\xff\xd8")
