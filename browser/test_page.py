"""The page of a run as its reader has it: a real browser, mouse and keys."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from emgsim.files.npz import read_npz

STEP_UV = 0.25  # of the samples in the page


def shown_s(page: Page) -> tuple[float, float]:
    """Return from when to when the viewer shows the recording, as it says in words."""
    status = page.get_by_role("status")
    expect(status).to_have_text(re.compile("^Shown: "))
    start, stop = re.findall(r"−?\d+\.\d+", status.inner_text())[:2]
    return float(start.replace("−", "-")), float(stop.replace("−", "-"))


def after(page: Page, act: Callable[[], None]) -> tuple[float, float]:
    """Return what is shown once something that is done has changed it."""
    status = page.get_by_role("status")
    shown_s(page)
    before = status.inner_text()
    act()
    expect(status).not_to_have_text(before)
    return shown_s(page)


def until(page: Page, condition: str) -> None:
    """Wait for up to some seconds of frames; the page's policy forbids to evaluate texts later."""
    look = f"""() => new Promise((done) => {{
      let left = 600;
      const look = () => {{
        if (({condition}) || left-- < 0) done(left >= 0);
        else requestAnimationFrame(look);
      }};
      look();
    }})"""
    assert page.evaluate(look), condition


def test_the_page_asks_for_nothing_but_itself(page: Page, made: Path) -> None:
    """One file, no other request, and no complaint of the browser."""
    outside = [url for url in page.asked if not url.startswith(("data:", "blob:"))]
    assert outside == [(made / "report.html").as_uri()]
    assert page.said == []


def test_keys_zoom_and_move(page: Page) -> None:
    """Plus halves the time shown, minus doubles it, an arrow moves by a tenth."""
    page.locator("#viewer canvas").focus()
    start, stop = shown_s(page)
    a, b = after(page, lambda: page.keyboard.press("+"))
    assert b - a == pytest.approx((stop - start) / 2, rel=0.02)
    c, d = after(page, lambda: page.keyboard.press("ArrowRight"))
    assert c - a == pytest.approx((b - a) / 10, abs=0.011)
    assert d - c == pytest.approx(b - a, abs=0.011)
    first, last = after(page, lambda: page.keyboard.press("0"))
    assert last - first == pytest.approx(3.0, abs=0.02)


def test_the_wheel_zooms_where_the_mouse_is(page: Page) -> None:
    """After a click the wheel zooms about the mouse; the picture changes with the axis."""
    canvas = page.locator("#viewer canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 300, box["y"] + 150)
    before, picture = shown_s(page), canvas.screenshot()
    a, b = after(page, lambda: page.mouse.wheel(0, -100))
    assert b - a == pytest.approx(0.8 * (before[1] - before[0]), rel=0.03)
    assert canvas.screenshot() != picture


def test_the_wheel_belongs_to_the_page_until_the_viewer_is_clicked(page: Page) -> None:
    """Who scrolls past the viewer is not caught in it."""
    page.locator("#viewer canvas").hover()
    before = shown_s(page)
    page.mouse.wheel(0, 200)
    until(page, "window.scrollY > 0")
    assert shown_s(page) == before


@pytest.mark.parametrize("path", ["truth", "loopback", "device"])
def test_what_sounds_is_the_recording(page: Page, made: Path, path: str) -> None:
    """Samples and rate of what is played are those of the recording on the screen."""
    recording, _ = read_npz(made / f"wave/{path}.npz")
    start_s, _ = shown_s(page)
    gain_uv = float(re.findall(r"(\d+) µV/div", page.get_by_role("status").inner_text())[0])
    page.get_by_role("group", name="Listen").get_by_role("button", name=path).click()
    until(page, "heard.length === 1 && heard[0].state() === 'running'")
    heard = page.evaluate("({ rate: heard[0].rate, samples: Array.from(heard[0].samples) })")
    assert heard["rate"] == pytest.approx(recording.rate_hz, rel=1e-6)
    first = round((start_s - recording.start_s) * recording.rate_hz)
    samples_uv = recording.samples_uv[first : first + len(heard["samples"]), 0]
    assert len(heard["samples"]) == pytest.approx(recording.rate_hz, rel=1e-3)  # one second
    expected = np.clip(samples_uv / (4 * gain_uv), -1, 1)
    assert np.max(np.abs(expected - heard["samples"])) <= 0.51 * STEP_UV / (4 * gain_uv)
    assert page.said == []


def test_a_second_press_ends_the_sound(page: Page) -> None:
    """The button says whether it sounds, and ends it."""
    button = page.get_by_role("group", name="Listen").get_by_role("button", name="truth")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")


def test_the_cursor_goes_by_keys_and_its_values_are_told(page: Page) -> None:
    """Shift with an arrow moves the cursor; time and values of every path stand in the status."""
    page.locator("#viewer canvas").focus()
    shown_s(page)
    page.keyboard.press("Shift+ArrowRight")
    told = re.compile(r"\d s  ·  truth −?\d+ µV  ·  loopback −?\d+ µV  ·  device −?\d+ µV")
    expect(page.get_by_role("status")).to_have_text(told)


def test_the_first_stop_of_the_tab_key_leads_to_the_verdict(page: Page) -> None:
    """The skip link is seen when it is reached, and the viewer can be reached and left."""
    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="Skip to the verdict")
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()
    stops = []
    for _ in range(40):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.tagName"))
    at = stops.index("CANVAS")
    assert set(stops[at + 1 :]) - {"CANVAS"}


def test_what_has_the_focus_is_seen(page: Page) -> None:
    """The viewer and its buttons have an outline as soon as the keyboard reaches them."""
    for selector in ("#viewer canvas", "#viewer button"):
        page.locator(selector).first.focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert width == "3px", selector


def test_a_failed_measurement_leads_to_its_picture_and_back(page: Page) -> None:
    """The link of the verdict shows the picture; the picture's link shows the row."""
    row = page.get_by_role("row", name="discharges.f1.device")
    row.get_by_role("link", name="why: detections").click()
    article = page.get_by_role("article", name="Where discharges are missed or false: device")
    expect(article.get_by_role("img")).to_be_in_viewport()
    assert article.get_by_role("img").evaluate("image => image.naturalWidth") > 500
    article.get_by_role("link", name="discharges.f1.device").click()
    expect(row).to_be_in_viewport()


@pytest.mark.parametrize("width", [1400, 500])
def test_the_page_can_be_used_by_everybody(page: Page, width: int) -> None:
    """Axe finds nothing to complain of, on a wide and on a narrow screen, all of it opened."""
    page.set_viewport_size({"width": width, "height": 1000})
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    found = Axe().run(page).response["violations"]
    assert [(v["id"], v["impact"], v["nodes"][0]["target"]) for v in found] == []


def test_a_narrow_screen_needs_no_sideways_scrolling(page: Page) -> None:
    """Tables scroll within themselves; the page does not."""
    page.set_viewport_size({"width": 500, "height": 1000})
    assert page.evaluate("document.documentElement.scrollWidth") <= 500


def test_on_paper_the_picture_stands_for_the_viewer(page: Page) -> None:
    """The canvas and its buttons are gone, the static picture is there."""
    page.emulate_media(media="print")
    expect(page.locator("#viewer canvas")).to_be_hidden()
    expect(page.locator("#viewer .controls")).to_be_hidden()
    expect(page.locator("#viewer figure img")).to_be_visible()


def test_the_page_of_a_real_run_is_light_alone_and_for_everybody(browser: Browser) -> None:
    """At most 3 MB, no request but the file, no complaint of the browser or of axe."""
    if "EMGSIM_PAGE" not in os.environ:
        pytest.skip("EMGSIM_PAGE names no page of a run")
    file = Path(os.environ["EMGSIM_PAGE"])
    assert file.stat().st_size <= 3_000_000
    page, asked, said = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(file.as_uri())
    page.wait_for_selector("#viewer.live", timeout=20_000)
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [file.as_uri()]
    found = Axe().run(page).response["violations"]
    assert [(v["id"], v["impact"], v["nodes"][0]["target"]) for v in found] == []
    assert said == []
    page.close()
