"""`report.html` in a real browser: nothing fails, nothing is loaded, all can be seen and used."""

import re

import pytest
from browser import CHROMIUM, DRIVER, MISSING, chromium
from fabricated import WHY, faulty_rounds
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from desim import analysis

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING),
]
EVIL = "<img src=x onerror=window.ran=1><script>window.ran=1"
EVIL_NAME = "</script><script>window.ran=1</script>"
SCENARIO = """
seeds = [0, 1]
cluster = {workers = 3, stragglers = {kind = "uniform-speed", low = 10.0, high = 90.0}}
stop = {time_s = 16.0}
"""
EVIL_TABLES = f"""
cluster.stragglers = {{kind = "trace", file = "{EVIL}"}}
cluster.hardware = [{{name = "{EVIL}", count = "{EVIL}", "{EVIL}" = 1}}]
network.link = {{kind = "fifo", up_bps = "{EVIL}", regions = {{names = ["{EVIL}"]}}}}
faults.workers = [{{worker = "{EVIL}", down_s = "{EVIL}"}}]
"""
# WCAG 2.1: 4.5 for text, by its contrast ratio with the nearest background that isn't transparent.
LEAST_CONTRAST = 4.5
CONTRASTS = """
const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
const luminance = (colour) => parts(colour).slice(0, 3).map((c) => c / 255)
  .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if ((parts(colour)[3] ?? 1) > 0) return colour;
  }
};
return [...document.querySelectorAll("body *")].filter((e) => !e.closest("svg, script, noscript") &&
  [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())).map((e) => {
  const [a, b] = [luminance(getComputedStyle(e).color), luminance(behind(e))];
  return [e.tagName + ": " + e.textContent.slice(0, 40),
    (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
});
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


def plain(made):
    for seed in (0, 1):
        made.decay("DSGD", seed, 8.0 + seed)
        made.decay("QT", seed, 4.0)


def sweep(made):
    for latency_s in (0.0, 1.0):
        made.decay("DSGD", 0, 8.0, sweep={"network.latency_s": latency_s})
        made.decay("QT", 0, 4.0 + latency_s, sweep={"network.latency_s": latency_s})


def many_points(made):
    for law in "uvwxyz":
        made.decay("DSGD", 0, 8.0, sweep={"cluster.stragglers": law})


def unfinished(made):
    plain(made)
    made.decay("QT", 2, 4.0, finished=False)
    (made.folder / "manifest.json").unlink()


def without_training(made):
    for label in ("DSGD", "QT"):
        made.trial(label, 0, [0, 8, 16], [float("nan")] * 3, train=False)


def diverged(made):
    plain(made)
    made.trial("QT", 2, [0, 5, 10], [2.0, 1e30, float("nan")], diverged_at_s=10.0)


def all_diverged(made):
    made.trial("DSGD", 0, [0, 8], [2.0, float("nan")], diverged_at_s=8.0)


def stalled(made):
    plain(made)
    made.decay("QT", 2, 4.0, stalled=WHY)


def faulty(made):
    for label in ("DSGD", "QT"):
        made.decay(label, 0, 8.0, timeline=faulty_rounds())


def served(made):
    made.decay("DSGD", 0, 8.0)
    made.decay("QT", 0, 8.0, server=True)


RUNS = (
    plain,
    sweep,
    many_points,
    unfinished,
    without_training,
    diverged,
    all_diverged,
    stalled,
    faulty,
    served,
)


@pytest.fixture
def page(fabricate, request):
    made = fabricate("DSGD", "QT")
    path = made.folder / "scenario.toml"
    path.write_text(SCENARIO + path.read_text())
    getattr(request, "param", plain)(made)
    return analysis.web_report(made.folder)[0]


@pytest.mark.parametrize("page", RUNS, indirect=True, ids=lambda run: run.__name__)
def test_every_figure_is_seen_and_nothing_fails_or_is_loaded(browser, page):
    browser.open(page)
    boxes = browser.run(
        "return [...document.querySelectorAll('figure svg, #timeline-view')].map((e) => "
        "[e.getBoundingClientRect().width, e.getBoundingClientRect().height])"
    )
    assert len(boxes) == len(list(page.parent.glob("*.svg"))) + 1
    assert min(min(box) for box in boxes) > 50
    ids = browser.run("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(set(ids)) == len(ids)
    assert browser.run(
        "return [...document.querySelectorAll('figure use')].every((e) => "
        "document.getElementById(e.getAttribute('xlink:href').slice(1)).closest('svg') "
        "=== e.closest('svg'))"
    )
    names = browser.run(
        "return [...document.querySelectorAll('figure svg')].map((e) => "
        "e.querySelector('title').textContent)"
    )
    assert all(names)
    assert len(set(names)) == len(names)
    assert browser.console() == []
    assert browser.requests() == [page.as_uri()]


@pytest.mark.parametrize("page", [plain, sweep, diverged], indirect=True)
def test_a_phone_scrolls_the_page_in_one_direction_only(browser, page):
    browser.open(page, width=375, height=800)
    assert browser.run("return document.documentElement.scrollWidth") == 375
    boxes = browser.run(
        "return [...document.querySelectorAll('.wide, canvas, button')]"
        ".map((e) => [e.getBoundingClientRect().left, e.getBoundingClientRect().right])"
    )
    assert all(left >= 0 and right <= 375 for left, right in boxes)
    scrolled = "return [...document.querySelectorAll('.wide')].some(e => e.scrollWidth > 375)"
    assert browser.run(scrolled)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [375, 1200])
def test_text_can_be_read_in_both_schemes(browser, page, dark, width):
    browser.open(page, dark=dark, width=width)
    browser.run("document.querySelector('details').open = true")
    contrasts = dict(browser.run(CONTRASTS))
    assert len(contrasts) > 30
    low = {text: ratio for text, ratio in contrasts.items() if ratio < LEAST_CONTRAST}
    assert low == {}
    background = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 128) == dark
    # The figures' own inks are dark, so they need a light card.
    card = browser.run(
        "return getComputedStyle(document.querySelector('figure .wide')).backgroundColor"
    )
    assert card == "rgb(255, 255, 255)"


def drawn(browser):
    return browser.run(
        "const c = document.getElementById('timeline-view');"
        "return [c.toDataURL(), +c.dataset.from, +c.dataset.to]"
    )


def test_the_timeline_is_zoomed_and_moved_by_buttons_keys_wheel_and_dragging(browser, page):
    browser.open(page)
    canvas = browser.driver.find_element(By.ID, "timeline-view")
    before, start, end = drawn(browser)
    assert (start, end) == pytest.approx((0, 12))  # three rounds, as in the figure
    browser.driver.find_element(By.CSS_SELECTOR, "[data-do=in]").click()
    zoomed, start, end = drawn(browser)
    assert zoomed != before
    assert (start, end) == pytest.approx((3, 9))
    canvas.send_keys(Keys.ARROW_RIGHT)
    assert drawn(browser)[1:] == pytest.approx([6, 12])
    canvas.send_keys("0")
    assert drawn(browser)[1:] == pytest.approx([0, 16])
    canvas.send_keys("+", Keys.END)
    assert drawn(browser)[1:] == pytest.approx([8, 16])
    ActionChains(browser.driver).drag_and_drop_by_offset(canvas, 300, 0).perform()
    assert 0 < drawn(browser)[1] < 8
    browser.run(
        "document.getElementById('timeline-view').dispatchEvent(new WheelEvent('wheel', "
        "{deltaY: -300, ctrlKey: true, clientX: 400, cancelable: true}))"
    )
    _, start, end = drawn(browser)
    assert end - start < 4
    browser.driver.find_element(By.CSS_SELECTOR, "[data-do=all]").click()
    ActionChains(browser.driver).move_to_element_with_offset(canvas, 0, -70).perform()
    told = browser.run("return document.getElementById('timeline-readout').textContent")
    assert re.match(r"(DSGD|QT), worker \d: (compute|send|wait), .* s, step \d", told)
    status = browser.run("return document.getElementById('timeline-range').textContent")
    assert "of 16 s" in status
    assert browser.console() == []


def test_two_fingers_zoom_the_timeline(browser, page):
    browser.open(page, width=375, height=800)
    browser.run("document.getElementById('timeline-view').scrollIntoView()")
    _, start, end = drawn(browser)
    for kind, gap in (("touchStart", 40), ("touchMove", 60), ("touchMove", 120)):
        points = [{"x": 200 - gap / 2, "y": 60, "id": 0}, {"x": 200 + gap / 2, "y": 60, "id": 1}]
        browser.driver.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
        )
    browser.driver.execute_cdp_cmd(
        "Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}
    )
    _, closer_start, closer_end = drawn(browser)
    assert closer_end - closer_start < 0.6 * (end - start)


@pytest.mark.parametrize("page", [faulty], indirect=True)
@pytest.mark.parametrize("dark", [False, True])
def test_who_is_down_is_hatched_and_told(browser, page, dark):
    browser.open(page, dark=dark)
    keys = browser.driver.find_elements(By.CSS_SELECTOR, ".legend li")
    assert {"down", "compressing"} <= {key.text for key in keys}
    assert keys[-1].text.endswith("dropped messages")
    # The lane of worker 1, the second: away from 5 to 7 of the 12 s shown.
    colours = browser.run(
        "const c = document.getElementById('timeline-view'), wide = c.clientWidth - 58;"
        "const x = 50 + wide * 5.3 / 12, row = 24 + 24 + 3 + 4;"
        "const d = c.getContext('2d').getImageData(x, row, wide / 12, 6).data;"
        "return [...new Set(Array.from({length: d.length / 4}, (_, k) => d[4 * k]))]"
    )
    assert len(colours) > 1  # a plain bar has one
    canvas = browser.driver.find_element(By.ID, "timeline-view")
    browser.run("arguments[0].scrollIntoView()", canvas)
    browser.run(
        "const c = arguments[0], b = c.getBoundingClientRect();"
        "c.dispatchEvent(new PointerEvent('pointermove', {"
        "clientX: b.left + 50 + (c.clientWidth - 58) / 2, clientY: b.top + 24 + 36}))",
        canvas,
    )
    told = browser.run("return document.getElementById('timeline-readout').textContent")
    assert told == "DSGD, worker 1: down, 5 to 7 s, step 1"
    assert browser.console() == []


@pytest.mark.parametrize("page", [served], indirect=True)
def test_the_server_is_told_by_its_name(browser, page):
    browser.open(page)
    canvas = browser.driver.find_element(By.ID, "timeline-view")
    browser.run("arguments[0].scrollIntoView()", canvas)
    # Below two titles and six workers; at 3 of the 12 s shown it sends.
    told = browser.run(
        "const c = arguments[0], b = c.getBoundingClientRect();"
        "c.dispatchEvent(new PointerEvent('pointermove', {"
        "clientX: b.left + 50 + (c.clientWidth - 58) / 4, clientY: b.top + 8 * 24 + 12}));"
        "return document.getElementById('timeline-readout').textContent",
        canvas,
    )
    assert told == "QT, server: send, 2.5 to 4 s, step 1, 1,500 bits"
    # Its name is not cut off at the left.
    inked = browser.run(
        "const d = arguments[0].getContext('2d').getImageData(0, 8 * 24, 2, 24).data;"
        "return d.filter((value, k) => k % 4 === 3 && value > 0).length",
        canvas,
    )
    assert inked == 0
    assert browser.console() == []


@pytest.mark.parametrize("page", [sweep], indirect=True)
def test_another_point_of_the_sweep_is_chosen(browser, page):
    browser.open(page)
    pick = browser.driver.find_element(By.ID, "timeline-scene")
    assert pick.is_displayed()
    options = [option.text for option in pick.find_elements(By.TAG_NAME, "option")]
    assert options == ["network.latency_s = 0", "network.latency_s = 1"]
    pick.send_keys(Keys.ARROW_DOWN)
    assert drawn(browser)[1:] == pytest.approx([0, 12])


def test_what_a_scenario_holds_is_shown_and_never_runs(browser, fabricate):
    made = fabricate(EVIL, "b")
    path = made.folder / "scenario.toml"
    path.write_text(EVIL_TABLES + path.read_text().replace("fabricated", EVIL_NAME))
    for label in (EVIL, "b"):
        made.decay(label, 0, 4.0, sweep={"cluster.stragglers": EVIL})
    page = analysis.web_report(made.folder)[0]
    browser.open(page)
    assert browser.run("return window.ran") is None
    assert browser.run("return document.scripts.length") == 2  # the data and the page's own
    assert browser.run("return document.images.length") == 0
    assert browser.driver.find_element(By.TAG_NAME, "h1").text == EVIL_NAME
    cells = browser.driver.find_elements(By.TAG_NAME, "td")
    assert EVIL in [cell.text for cell in cells]
    assert browser.console() == []
    assert browser.requests() == [page.as_uri()]


def test_a_script_that_is_not_the_page_s_own_is_stopped(browser, page):
    browser.open(page)
    browser.run(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s)"
    )
    assert browser.run("return window.ran") is None
    (message,) = browser.console()
    assert "Content Security Policy" in message
