"""How large a run's page is, what it asks for, and how quickly it is ready and zooms.

``python benchmarks/report.py [PAGE]`` prints each figure with its goal and exits with 1 if one is
missed. Without a page it runs the healthy biceps once. Needs ``emgsim[browser]`` and Chromium.

Ready is the time from the start of navigation to the live viewer; a zoom is the time from the key
to the end of the frame that draws it, pixels read back, so that no work is left to the compositor.
Both are wall time, and the load of the machine stands beside them; the CPU time of the page's own
thread does not depend on it.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

MOST_BYTES = 3_000_000
MOST_READY_MS = 1000.0
MOST_ZOOM_MS = 50.0
OPENED = 5  # times
ZOOMS = 40

WATCH = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("#viewer.live")) return;
  window.readyMs = performance.now();
  observer.disconnect();
}).observe(document, { subtree: true, childList: true, attributes: true });
"""
PRESS = """
(key) => new Promise((done) => {
  const canvas = document.querySelector("#viewer canvas"), began = performance.now();
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
  requestAnimationFrame(() => {
    canvas.getContext("2d").getImageData(0, 0, 1, 1);
    done(performance.now() - began);
  });
})
"""


def a_page() -> Path:
    """Run the healthy biceps and return its page."""
    from emgsim.bench.rig import load_rig
    from emgsim.running.run import run
    from emgsim.scenario import load_scenario

    out = Path(tempfile.mkdtemp(prefix="emgsim-report-"))
    folder, _ = run(load_scenario("healthy_biceps"), load_rig("virtual"), out=out)
    return folder / "report.html"


def opened(browser: Browser, page: Path) -> dict[str, Any]:
    """Open the page once; return when it was ready, what it asked for, and how long zooms took."""
    tab, asked = browser.new_page(viewport={"width": 1400, "height": 1000}), []
    tab.on("request", lambda request: asked.append(request.url))
    tab.add_init_script(WATCH)
    tab.goto(page.as_uri())
    tab.wait_for_selector("#viewer.live", timeout=60_000)
    ready_ms = tab.evaluate("window.readyMs")
    tab.locator("#viewer canvas").scroll_into_view_if_needed()
    tab.evaluate(PRESS, "0")
    zooms = [zoomed(tab, "+" if k % 16 < 8 else "-") for k in range(ZOOMS)]
    found = {"ready_ms": ready_ms, "zooms_ms": [wall for wall, _ in zooms],
             "cpu_ms": [cpu for _, cpu in zooms]}  # fmt: skip
    tab.close()
    own = ("data:", "blob:", page.as_uri())
    return found | {"outside": [url for url in asked if not url.startswith(own)]}


def zoomed(tab: Page, key: str) -> tuple[float, float]:
    """Press a key; return the time to the end of its frame, and the page's own CPU time in it."""
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def cpu_ms() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1e3 * next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    before_ms = cpu_ms()
    wall_ms = float(tab.evaluate(PRESS, key))
    found = wall_ms, cpu_ms() - before_ms
    session.detach()
    return found


def row(words: str, value: float, goal: float, unit: str) -> bool:
    """Print a figure beside its goal, and return whether it is met."""
    is_met = value <= goal
    told = "" if is_met else "  MISSED"
    print(f"{words:<42} {value:>12,.0f} {unit:<6} goal <= {goal:,.0f}{told}")
    return is_met


def main() -> int:
    """Print all figures; return the exit code."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("there is no chromium on the path")
        return 1
    page = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else a_page()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        print(f"{page.name} in Chromium {browser.version}, load {os.getloadavg()[0]:.2f}, "
              f"{os.cpu_count()} cores")  # fmt: skip
        found = [opened(browser, page) for _ in range(OPENED)]
        browser.close()
    ready_ms = [one["ready_ms"] for one in found]
    zooms_ms = [ms for one in found for ms in one["zooms_ms"]]
    cpu_ms = [ms for one in found for ms in one["cpu_ms"]]
    print(f"ready, each opening: {', '.join(f'{ms:.0f}' for ms in ready_ms)} ms")
    return int(not all([
        row("size of the page", page.stat().st_size, MOST_BYTES, "bytes"),
        row("requests to outside", sum(len(one["outside"]) for one in found), 0, ""),
        row(f"ready, median of {OPENED}", statistics.median(ready_ms), MOST_READY_MS, "ms"),
        row(f"zoom, median of {len(zooms_ms)}", statistics.median(zooms_ms), MOST_ZOOM_MS, "ms"),
        row(f"zoom, largest of {len(zooms_ms)}", max(zooms_ms), MOST_ZOOM_MS, "ms"),
        row("zoom, CPU of the page, median", statistics.median(cpu_ms), MOST_ZOOM_MS, "ms"),
        row("zoom, CPU of the page, largest", max(cpu_ms), MOST_ZOOM_MS, "ms"),
    ]))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
