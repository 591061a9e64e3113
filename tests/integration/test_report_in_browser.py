"""The page that `nas report` writes, in a real Chromium: on a phone and on a desk, in light and in dark."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nas_controller.journal.journal import ControllerStarted
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.integration.nas_program import NAS
from tests.unit.cli.conftest import history, write_state

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_LIVES = {"digits": history(), "nothing yet": [(ControllerStarted(1, 1_700_000_000.0),)]}
_PLOTS = {"digits": 6, "nothing yet": 0}

pytestmark = pytest.mark.skipif(
    _CHROMIUM is None, reason="needs Chromium, on Debian: apt-get install chromium (.ci/run does it)"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A page in the browser, with all that it complained of and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Chromium's own sandbox does not work for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=list(_LIVES))
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report, written by the program."""
    directory = tmp_path_factory.mktemp("report")
    state = write_state(directory / "digits", _LIVES[request.param])
    if request.param == "digits":
        write_state(directory / "digits-random", _LIVES[request.param])
    file = directory / f"{request.param}.html"
    command = [*NAS, "report", "-o", str(file), "-s", str(state), "--price", "default=2.50"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return file


def opened(context: BrowserContext, file: Path) -> Opened:
    result = Opened(context.new_page())
    result.page.on("console", lambda message: result.complaints.append(message.text))
    result.page.on("pageerror", lambda error: result.complaints.append(str(error)))
    result.page.on("request", lambda request: result.requests.append(request.url))
    result.page.goto(file.as_uri())
    return result


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_asks_for_nothing_and_has_nothing_to_complain_of(
    browser: Browser, file: Path, width: int, scheme: str
) -> None:
    with browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme) as context:  # type: ignore[arg-type]
        report = opened(context, file)
        page = report.page
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        plots = page.locator(".plot").all()
        assert len(plots) == _PLOTS[file.stem]
        for plot in plots:
            plot.hover()  # the words of a point must not stand beyond the edge
            assert page.locator(".tip").count() == 1
        wide = """[...document.querySelectorAll('body *')]
            .filter((each) => !each.closest('svg') && each.getBoundingClientRect().right > innerWidth + 0.5)
            .map((each) => each.outerHTML)"""
        assert page.evaluate(wide) == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
        red, green, blue = map(int, page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)"))  # type: ignore[misc]
        assert (red + green + blue > 3 * 128) == (scheme == "light")
        assert report.complaints == []
        assert report.requests == [file.as_uri()]


def test_texts_can_be_told_from_what_is_behind_them(browser: Browser, file: Path) -> None:
    """WCAG 2.2: a contrast of at least 4.5 to 1, in light and in dark."""
    texts = "h1, h2, h3, p, dt, dd, small, a, li, th, td, summary, .y-ticks span"
    contrast = """(texts) => [...document.querySelectorAll(texts)].map((each) => {
            const light = (colour) => {
                const [r, g, b] = colour.match(/[\\d.]+/g).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92
                    : ((c / 255 + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
            };
            let behind = each;
            while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
            const both = [light(getComputedStyle(each).color), light(getComputedStyle(behind).backgroundColor)];
            return Math.max(...both) / Math.min(...both);
        })"""
    for scheme in ("light", "dark"):
        with browser.new_context(color_scheme=scheme) as context:  # type: ignore[arg-type]
            found = opened(context, file).page.evaluate(contrast, texts)
            assert len(found) > 10
            assert min(found) >= 4.5


@pytest.mark.parametrize("file", ["digits"], indirect=True)
def test_points_tell_of_themselves_to_the_keyboard(browser: Browser, file: Path) -> None:
    with browser.new_context(viewport={"width": 390, "height": 800}) as context:
        page = opened(context, file).page
        plot = page.get_by_role("slider", name="Rewards")
        plot.focus()
        page.keyboard.press("ArrowRight")
        assert page.locator(".tip").inner_text().startswith("trial 1: reward 0.1250")
        page.keyboard.press("End")
        assert page.locator(".tip").inner_text().startswith("trial 8: ")
        assert plot.get_attribute("aria-valuetext") == page.locator(".tip").inner_text()
        page.keyboard.press("Escape")
        assert page.locator(".tip").count() == 0


@pytest.mark.parametrize("file", ["digits"], indirect=True)
def test_points_tell_of_themselves_to_whoever_points_at_them(browser: Browser, file: Path) -> None:
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = opened(context, file).page
        plot = page.get_by_role("slider", name="Reward against parameters")
        plot.scroll_into_view_if_needed()
        plot.hover(position={"x": 1, "y": 1})
        assert page.locator(".tip").inner_text().startswith("trial ")
        page.mouse.move(0, 0)
        assert page.locator(".tip").count() == 0


@pytest.mark.parametrize("file", ["digits"], indirect=True)
def test_without_scripts_all_but_the_pointing_is_there(browser: Browser, file: Path) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = opened(context, file).page
        assert page.locator(".plot svg").count() > 0
        page.get_by_text("lines of YAML").click()
        assert page.get_by_text("apiVersion: kubenas.dev/v1alpha1").is_visible()


@pytest.mark.parametrize("file", ["digits"], indirect=True)
def test_on_paper_nothing_stays_folded(browser: Browser, file: Path, tmp_path: Path) -> None:
    with browser.new_context(color_scheme="dark") as context:
        page = opened(context, file).page
        folded = "document.querySelectorAll('details:not([open])').length"
        before = page.evaluate(folded)
        assert before > 0
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate(folded) == 0
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate(folded) == before
        assert page.pdf(format="A4").startswith(b"%PDF")
