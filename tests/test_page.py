"""The page in a real Chromium: `make test-page` installs what this needs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest
from PIL import Image
from typer.testing import CliRunner

from prosr.cli import app
from serving import PATIENCE, Serving, picture, serving, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Download, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: make test-page")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.skip("needs Chromium: apt-get install chromium")
    with api.sync_playwright() as playwright:
        # Chromium does not use its sandbox as root, as in a container.
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("page") / "data") as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Serving) -> Iterator[Page]:
    """The page in a fresh browser. It must ask nobody else for anything, and report no error."""
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE * 1000)
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))

    def note(said: Any) -> None:
        if said.type == "error":
            troubles.append(said.text)

    opened.on("console", note)
    requests: list[str] = []
    opened.on("request", lambda request: requests.append(request.url))
    go(opened, server)
    yield opened
    context.close()
    own = str(server.client.base_url)
    assert not [url for url in requests if not url.startswith((own, f"blob:{own}"))]
    assert not troubles


def go(page: Page, server: Serving) -> None:
    page.goto(str(server.client.base_url))
    page.wait_for_selector("html[data-ready]")


def send(page: Page, files: list[tuple[str, bytes]], **settings: str) -> None:
    named: Any = [{"name": name, "mimeType": "", "buffer": data} for name, data in files]
    page.set_input_files("#files", named)
    for name, value in settings.items():
        page.select_option(f"#{name}", value)
    page.click("#go")
    page.wait_for_selector(".job li")


def settle(page: Page, seconds: float = 600) -> list[str]:
    """Wait until every picture has ended; return what is said of each."""
    states: list[str] = []

    def ended() -> bool:
        states[:] = page.locator(".job .state").all_inner_texts()
        return not [state for state in states if re.match(r"\d+ %|Waiting", state)]

    wait_until(ended, seconds)
    return states


def content(download: Download) -> bytes:
    return Path(download.path()).read_bytes()


def test_a_download_has_the_bytes_that_the_command_line_writes(
    page: Page, server: Serving, tmp_path: Path
) -> None:
    send(page, [picture(tmp_path, "photo.png", 40, 30)], scale="2", model="prosr-xs")
    (said,) = settle(page)
    assert said.startswith("80 × 60, ")
    assert said.endswith(" s, prosr-xs")
    with page.expect_download() as event:
        page.get_by_role("button", name="Download photo_x2.png").click()
    (source,) = server.data.glob("jobs/*/0/photo.png")
    output = tmp_path / "again.png"
    words = ["upscale", str(source), "-s", "2", "-m", "prosr-xs", "-o", str(output)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert content(event.value) == output.read_bytes()


def test_a_preview_comes_before_the_whole_and_the_divider_moves(page: Page, tmp_path: Path) -> None:
    send(page, [picture(tmp_path, "large.jpg", 700, 500)], scale="4", model="prosr-xs")
    page.get_by_role("button", name="Preview of large.jpg").click()
    page.wait_for_selector("#viewer[open]")
    assert page.locator(".job progress").is_visible()
    edge = "getComputedStyle(document.getElementById('after')).clipPath"
    before = page.evaluate(edge)
    page.get_by_role("slider", name="Divider between before and after").press("ArrowRight")
    assert page.evaluate(edge) != before
    # At 100 % a pixel of the result is a pixel of the screen, and beyond nothing is blurred.
    for zoom, factor, rendering in (("100 %", 1, "auto"), ("200 %", 2, "pixelated")):
        page.get_by_role("button", name=zoom).click()
        image = "document.getElementById('after')"
        assert page.evaluate(f"{image}.clientWidth / {image}.naturalWidth") == factor
        assert page.evaluate(f"getComputedStyle({image}).imageRendering") == rendering
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Cancel large.jpg").click()
    assert settle(page) == ["Cancelled"]


def test_a_size_can_be_asked_for(page: Page, tmp_path: Path) -> None:
    page.select_option("#scale", "fit")
    page.get_by_label("Factor or size").fill("50x50")
    send(page, [picture(tmp_path, "a.png", 20, 16)], model="bicubic")
    (said,) = settle(page)
    assert said.startswith("50 × 40, ")


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_pictures_can_be_dropped_and_pasted(page: Page, tmp_path: Path, kind: str) -> None:
    names = ["a.png", "b.png"]
    datas = [list(picture(tmp_path, name, 20, 16)[1]) for name in names]
    page.evaluate(
        """([kind, names, datas]) => {
            const sent = new DataTransfer();
            names.forEach((name, index) => {
                const data = new Uint8Array(datas[index]);
                sent.items.add(new File([data], name, { type: "image/png" }));
            });
            const target = document.getElementById("drop");
            const how = { bubbles: true, dataTransfer: sent, clipboardData: sent };
            target.dispatchEvent(
                kind === "drop" ? new DragEvent(kind, how) : new ClipboardEvent(kind, how));
        }""",
        [kind, names, datas],
    )
    assert page.locator("#chosen .name").all_inner_texts() == names
    # Thumbnails are there, and they show something.
    shown = "[...document.querySelectorAll('#chosen img')].map(image => image.naturalWidth)"
    wait_until(lambda: page.evaluate(shown) == [20, 20])
    assert page.locator("#go").inner_text() == "Enlarge 2 pictures"


def test_metadata_is_left_out_on_demand_and_the_page_remembers_it(
    page: Page, server: Serving, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    page.get_by_label("Leave out metadata").check()
    go(page, server)
    assert page.get_by_label("Leave out metadata").is_checked()
    send(page, [("a.jpg", (tmp_path / "a.jpg").read_bytes())], model="bicubic")
    settle(page)
    with page.expect_download() as event:
        page.get_by_role("button", name="Download a_x4.jpg").click()
    with Image.open(event.value.path()) as result:
        assert 0x010F not in result.getexif()


def test_progress_the_time_left_and_the_place_in_the_queue_are_told(
    page: Page, tmp_path: Path
) -> None:
    files = [picture(tmp_path, f"{number}.jpg", 700, 700, number) for number in range(4)]
    send(page, files, scale="4", model="prosr-xs")
    page.wait_for_selector(".job progress:not([hidden])")
    page.wait_for_selector("text=Waiting for 1 other picture")
    left = "/about .* left/.test(document.querySelector('.job .hint').innerText)"
    page.wait_for_function(left, timeout=300_000)
    page.get_by_role("button", name="Cancel all").click()
    settle(page)


def test_twenty_pictures_at_once_with_a_broken_one_among_them(page: Page, tmp_path: Path) -> None:
    files = [picture(tmp_path, f"{number}.png", 24, 16, number) for number in range(20)]
    files[7] = ("7.png", files[7][1][:80])
    send(page, files, model="bicubic")
    said = settle(page)
    assert said.pop(7).startswith("7.png: ")
    assert len(said) == 19
    assert all(line.startswith("96 × 64, ") for line in said)
    with page.expect_download() as event:
        page.get_by_role("button", name="Download all as zip").click()
    with ZipFile(BytesIO(content(event.value))) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {f"{n}_x4.png" for n in range(20) if n != 7}


def test_work_is_found_again_after_a_reload(page: Page, server: Serving, tmp_path: Path) -> None:
    send(page, [picture(tmp_path, "a.png", 300, 200)], scale="2", model="prosr-xs")
    page.wait_for_selector(".job progress:not([hidden])")
    go(page, server)
    assert page.locator("#scale").input_value() == "2"
    (said,) = settle(page)
    assert said.startswith("600 × 400, ")


def test_the_keyboard_is_enough(page: Page, tmp_path: Path) -> None:
    page.set_input_files("#files", [str(tmp_path / picture(tmp_path, "a.png", 20, 20)[0])])
    page.locator("#files").focus()
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        focus = "document.activeElement.id || document.activeElement.ariaLabel"
        reached.append(page.evaluate(focus))
    assert reached == ["Remove a.png", "scale", "model", "format", "quality", "strip", "go"]
    page.locator("#model").focus()
    page.keyboard.type("bicubic")
    page.locator("#go").press("Enter")
    page.wait_for_selector(".job li")
    settle(page)
    button = page.get_by_role("button", name="Compare a.png before and after")
    button.press("Enter")
    page.wait_for_selector("#viewer[open]")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.ariaLabel") == "Compare a.png before and after"


def test_every_control_has_a_name_for_screen_readers(page: Page) -> None:
    tree: Any = page.locator("body").aria_snapshot()
    kinds = ("- button", "- combobox", "- slider")
    controls = [line for line in tree.splitlines() if line.strip().startswith(kinds)]
    assert controls
    assert not [line for line in controls if '"' not in line]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_barrier(page: Page, tmp_path: Path, colours: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.emulate_media(color_scheme=colours)
    found = {}

    def look(what: str) -> None:
        rules = axe.run(page).response["violations"]
        found[what] = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in rules]

    look("the empty page")
    files = [picture(tmp_path, "a.png", 20, 20), ("b.png", b"broken")]
    page.select_option("#model", "progansr-xs")
    page.select_option("#scale", "scale")
    send(page, files)
    page.set_input_files("#files", [str(tmp_path / "a.png")])
    settle(page)
    look("a job that has ended, and a picture that was chosen")
    page.get_by_role("button", name="Compare a.png before and after").click()
    page.wait_for_selector("#viewer[open]")
    look("the comparison")
    assert not any(found.values()), found


def test_the_page_fits_a_phone(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    send(page, [picture(tmp_path, "a" * 60 + ".png", 20, 20)], model="bicubic")
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_token_is_asked_for_once(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--token", "secret") as server:
        context = browser.new_context()
        opened = context.new_page()
        opened.goto(str(server.client.base_url))
        opened.get_by_label("Token of this service").fill("secret")
        opened.keyboard.press("Enter")
        opened.wait_for_selector("html[data-ready]")
        send(opened, [picture(tmp_path, "a.png", 20, 20)], model="bicubic")
        (said,) = settle(opened)
        assert said.startswith("80 × 80, ")
        context.close()
