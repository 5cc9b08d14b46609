"""Both pages in a real browser: nothing is fetched, nothing complains, every picture is there.

``MUSENC_DEMO_OUTPUT`` may name the output folder of a finished demo; without it a made-up folder
of full size is drawn.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from bids_app.analyses.page import write_participant_report
from bids_app.analyses.registry import write_group_report
from bids_app.outputs import OutputTree

pytestmark = pytest.mark.integration

# The writers of the made-up folder are beside the unit tests of the pages.
sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
WIDTHS = {"desktop": 1280, "phone": 390}
LIMIT_S = 60
OUTLINE = """
const shown = [...document.querySelectorAll('h1, h2')].map(e => e.textContent.trim());
const pictures = [...document.images].map(i => [i.complete && i.naturalWidth > 0, i.alt]);
const broken = [...document.querySelectorAll('a[href^="#"]')]
  .filter(a => !document.getElementById(a.getAttribute('href').slice(1))).length;
const small = [...document.querySelectorAll('main *')]
  .filter(e => e.children.length === 0 && parseFloat(getComputedStyle(e).fontSize) < 12).length;
return {headings: shown, pictures: pictures, broken: broken, small: small,
        wider: document.documentElement.scrollWidth - window.innerWidth,
        background: getComputedStyle(document.body).backgroundColor,
        unreachable: [...document.querySelectorAll('.scroll, pre')]
          .filter(e => e.tabIndex < 0).length};
"""


class Browser:
    """The few WebDriver commands that the tests need, over plain HTTP."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"
        self.session = ""

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.base}{path}",
            data=data,
            method=method,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=600) as response:
            return json.load(response)["value"]

    def start(self):
        options = {
            "binary": CHROMIUM,
            "args": [
                "--headless=new",
                "--no-sandbox",
                "--use-gl=angle",
                "--use-angle=swiftshader",
                "--enable-unsafe-swiftshader",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--hide-scrollbars",
            ],
        }
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        created = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{created['sessionId']}"

    def devtools(self, command, **parameters):
        body = {"cmd": command, "params": parameters}
        return self.call("POST", f"{self.session}/goog/cdp/execute", body)

    def open(self, path):
        self.call("POST", f"{self.session}/url", {"url": path.as_uri()})
        # The driver may answer while a page of megabytes is still being read.
        address = json.dumps(path.as_uri())
        self.wait_for(f"return document.readyState === 'complete' && location.href === {address}")

    def evaluate(self, script):
        return self.call("POST", f"{self.session}/execute/sync", {"script": script, "args": []})

    def log(self, kind):
        return self.call("POST", f"{self.session}/se/log", {"type": kind})

    def set_width(self, width):
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def mouse(self, kind, x, y, **more):
        event = {"type": f"mouse{kind}", "x": x, "y": y, **more}
        self.devtools("Input.dispatchMouseEvent", **event)

    def wait_for(self, script, seconds=300):
        """What the script returns, once it returns something."""
        until = time.monotonic() + seconds
        while not (found := self.evaluate(script)):
            assert time.monotonic() < until, script
            time.sleep(0.3)
        return found

    def stop(self):
        self.call("DELETE", self.session)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL)
    found = Browser(port)
    try:
        for _ in range(100):
            try:
                if found.call("GET", "/status")["ready"]:
                    break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
        found.start()
        yield found
        found.stop()
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Both pages, and the seconds that drawing them took."""
    root = tmp_path_factory.mktemp("derivatives")
    demo = os.environ.get("MUSENC_DEMO_OUTPUT")
    if demo:
        shutil.copytree(demo, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".musenc"))
    else:
        import fake_outputs

        fake_outputs.make_participant(root, n_layers=23, n_times=200)
        fake_outputs.make_status(root)
        fake_outputs.make_group(root, n_layers=23, n_participants=12)
    participant = OutputTree(root).participants_of("vggish")[0]
    began = time.process_time()
    drawn = {
        "participant": write_participant_report(root, participant),
        "group": write_group_report(root),
        "explore": OutputTree(root).explorer("vggish", participant),
        "explore-group": OutputTree(root).explorer("vggish"),
    }
    return drawn, time.process_time() - began


def test_drawing_both_pages_is_quick_and_they_are_small(pages):
    drawn, seconds = pages
    assert seconds < LIMIT_S
    for path in drawn.values():
        assert path.stat().st_size < 8_000_000


@pytest.mark.parametrize("which", ["participant", "group"])
@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_page_opens_whole_and_asks_for_nothing(browser, pages, which, device):
    path = pages[0][which]
    browser.set_width(WIDTHS[device])
    browser.log("performance")
    browser.open(path)
    seen = browser.evaluate(OUTLINE)
    assert len(seen["headings"]) > 10
    assert browser.log("browser") == []
    assert_nothing_asked(browser, path)
    assert len(seen["pictures"]) >= 8
    assert all(loaded and len(words) > 20 for loaded, words in seen["pictures"])
    assert seen["broken"] == 0
    assert seen["small"] == 0
    assert seen["unreachable"] == 0
    # Wide tables and figures scroll inside their own box; the page does not.
    assert seen["wider"] <= 0


def assert_nothing_asked(browser, path):
    events = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert path.as_uri() in asked
    inside = ("data:", "blob:", path.as_uri())
    assert [url for url in asked if not url.startswith(inside)] == []


CAMERA = """
const scene = document.getElementById('brain')._fullLayout.scene._scene;
return JSON.stringify(scene.getCamera().eye);
"""
COLORS = "return document.getElementById('brain').data[0].vertexcolor.join('')"
PLACE = "return document.getElementById('place').textContent"
SET = """
const [name, value] = arguments;
const control = document.getElementById(name);
control.value = value;
for (const kind of ['input', 'change']) control.dispatchEvent(new Event(kind));
"""


@pytest.fixture(scope="module")
def surface(browser, pages):
    """The participant's interactive page, opened once."""
    browser.set_width(1200)
    browser.log("performance")
    browser.open(pages[0]["explore"])
    browser.wait_for("return document.body.dataset.ready || ''")
    return browser


def choose(browser, name, value):
    browser.evaluate(SET.replace("arguments", json.dumps([name, value])))


def test_surface_turns_where_it_is_dragged(surface):
    before = surface.evaluate(CAMERA)
    x, y = surface.evaluate(
        "const r = document.getElementById('brain').getBoundingClientRect();"
        "return [r.x + r.width / 2, r.y + r.height / 2]"
    )
    surface.mouse("Pressed", x, y, button="left", buttons=1, clickCount=1)
    for step in range(6):
        surface.mouse("Moved", x + 15 * step, y, button="left", buttons=1)
        time.sleep(0.1)
    surface.mouse("Released", x + 75, y, button="left", clickCount=1)
    surface.wait_for(f"{CAMERA.replace('return ', 'return (')[:-2]}) !== {before!r}")


def test_slider_chooses_the_layer_and_threshold_its_vertices(surface):
    before = surface.evaluate(COLORS)
    choose(surface, "layer", 10)
    assert surface.evaluate("return document.getElementById('layer-name').textContent") == "relu3_2"
    assert surface.evaluate(COLORS) != before
    counts = []
    for threshold in ("all", "0.05", "passed", "0.001"):
        choose(surface, "threshold", threshold)
        text = surface.evaluate("return document.getElementById('shown').textContent")
        counts.append(int(text.split()[0]))
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 4
    choose(surface, "map", 2)
    assert "slope" in surface.evaluate("return document.getElementById('unit').textContent")
    choose(surface, "map", 0)


def test_clicked_vertex_shows_its_profile_and_time_course(surface):
    surface.evaluate("document.querySelector('[data-view=left]').click()")
    before = surface.evaluate(PLACE)
    x, y = surface.evaluate(
        "const r = document.getElementById('brain').getBoundingClientRect();"
        "return [r.x + 0.4 * r.width, r.y + 0.4 * r.height]"
    )
    time.sleep(2)
    surface.mouse("Moved", x, y)
    time.sleep(1)
    surface.mouse("Pressed", x, y, button="left", buttons=1, clickCount=1)
    time.sleep(1)
    surface.mouse("Released", x, y, button="left", clickCount=1)
    place = surface.wait_for(f"{PLACE} !== {json.dumps(before)} && document.body.textContent")
    assert "of the left hemisphere" in surface.evaluate(PLACE), place[:200]
    number = surface.evaluate("return Number(document.getElementById('vertex').value)")
    shown = "return document.getElementById('{}').data.map(t => t.y.length)"
    assert surface.evaluate(shown.format("profile")) == [23]
    assert surface.evaluate(shown.format("course")) == [200, 200, 200]
    choose(surface, "vertex", number + 1)
    assert f"Vertex {number + 1} of" in surface.evaluate(PLACE)


def test_interactive_page_complains_of_nothing_and_asks_for_nothing(surface, pages):
    assert [one for one in surface.log("browser") if one["level"] == "SEVERE"] == []
    assert_nothing_asked(surface, pages[0]["explore"])


def test_interactive_page_fits_a_phone(browser, pages):
    browser.set_width(WIDTHS["phone"])
    browser.open(pages[0]["explore-group"])
    browser.wait_for("return document.body.dataset.ready || ''")
    wider = "return document.documentElement.scrollWidth - window.innerWidth"
    assert browser.evaluate(wider) <= 0


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_page_follows_the_readers_color_scheme(browser, pages, scheme, dark):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.devtools("Emulation.setEmulatedMedia", features=[feature])
    browser.open(pages[0]["group"])
    color = browser.evaluate(OUTLINE)["background"]
    brightness = sum(int(part) for part in color.removeprefix("rgb(").rstrip(")").split(","))
    browser.devtools("Emulation.setEmulatedMedia", features=[])
    assert (brightness < 200) is dark


def test_page_is_whole_with_scripts_off(browser, pages):
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(pages[0]["participant"])
    tree = browser.devtools("DOM.getDocument", depth=1)
    found = browser.devtools(
        "DOM.querySelectorAll", nodeId=tree["root"]["nodeId"], selector="main figure img"
    )
    browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
    assert len(found["nodeIds"]) >= 8


def test_tab_key_reaches_the_content_first(browser, pages):
    browser.open(pages[0]["group"])
    browser.devtools("Page.bringToFront")
    for kind in ("keyDown", "keyUp"):
        browser.devtools(
            "Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9
        )
    focused = "return document.activeElement.getAttribute('href')"
    assert browser.wait_for(focused, seconds=30) == "#main"
