"""The explorers of the dataset-geodesics study under a real pointer, in JupyterLab after Run All and in Voila."""

import pytest

from tests.browser.driving import keep, open_notebook, until, write_notebook

SCENE = """
import torch
from lib.data import make_domain, tensors
from lib.explorers.dataset_geodesics_state import Measured, Scene
from lib.explorers.dataset_geodesics_widget import SimplexExplorer
from lib.explorers.dataset_path_widget import PathExplorer
from lib.figures import use_style
from lib.geodesics.toy import toy
from lib.seeds import Seeds
from lib.transport.labels import labelled
from lib.transport.weights import simplex_grid
use_style()
images, labels = tensors("digits")
def part(start, classes, domain):
    rows = torch.isin(labels, torch.tensor(classes)).nonzero()[:, 0][start::4]
    whole = labelled(make_domain(images[rows], domain, Seeds(1)).flatten(1), labels[rows])
    return whole.subsample(100, Seeds(1), balanced=True)
low, high = list(range(5)), list(range(5, 10))
sources = {
    "0-4 rotated": part(0, low, "rotate-left"),
    "5-9 blurred": part(1, high, "blur"),
    "noisy": part(2, low + high, "noise"),
}
grid = simplex_grid(3, 6)
measured = Measured(grid, 60 + 10 * grid[:, 0] + 20 * grid[:, 2], 5)
scene = Scene.of(part(3, low + high, "rotate-right"), sources, base_name="digits", shape=(8, 8), measured=measured)
base, clusters = toy(Seeds(1), 60)
space = Scene.of(base, dict(zip(("P1", "P2", "P3"), clusters)), base_name="toy")
"""
CELLS = (SCENE, 'SimplexExplorer({"digits": scene, "toy": space}).display()', "PathExplorer(scene).display()")
# Pixels of each row of images, as text; the last row is the one that moves.
ROWS = """box => {
  const found = {};
  for (const canvas of document.querySelectorAll(`${box} canvas.geo-picture`)) {
    const name = canvas.getAttribute('aria-label').replace(/, sample \\d+$/, '');
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    (found[name] ??= []).push(Array.from(pixels).join());
  }
  return found;
}"""
# How long after a request its answer was drawn: requests are numbered by the time at which they are sent.
WATCH = """() => {
  const box = document.querySelector('.simplex-explorer .geo-samples');
  window.delays = [];
  new MutationObserver(() => window.delays.push(Date.now() - Number(box.dataset.seq)))
    .observe(box, {attributes: true, attributeFilter: ['data-seq']});
}"""


@pytest.fixture(scope="module")
def geodesics(tmp_path_factory):
    """A notebook of the two explorers, in a folder of its own."""
    return write_notebook(tmp_path_factory.mktemp("geodesics") / "geodesics.ipynb", *CELLS)


@pytest.fixture
def explorers(page, served, geodesics):
    """Open the notebook in a program and wait until both explorers are drawn."""

    def open_in(program):
        open_notebook(page, served, program, geodesics)
        page.locator(".path-explorer .geo-speed").wait_for(timeout=180_000)
        page.locator(".simplex-explorer .geo-triangle svg").scroll_into_view_if_needed()
        page.evaluate(WATCH)

    return open_in


def mixed(page, box=".simplex-explorer"):
    return list(page.evaluate(ROWS, box).items())[-1][1]


def row(page, name, box=".simplex-explorer"):
    return page.evaluate(ROWS, box)[name]


def corner(page, number):
    """Where a vertex of the triangle is on the screen."""
    box = page.locator(".simplex-explorer .geo-triangle .outline + g ~ circle").nth(number).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def readout(page, title, box=".simplex-explorer"):
    terms = page.locator(f"{box} .geo-term").all_inner_texts()
    return page.locator(f"{box} .geo-value").nth(terms.index(title)).inner_text()


def drag(page, ends, steps=25):
    (x, y), (u, v) = ends
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(1, steps + 1):
        page.mouse.move(x + (u - x) * i / steps, y + (v - y) * i / steps)
    page.mouse.up()


@pytest.mark.parametrize("program", ["jupyterlab", "voila"])
def test_drag_the_point_and_the_images_follow(page, explorers, program):
    explorers(program)
    handle = page.locator(".simplex-explorer .geo-triangle .handle")
    centre = handle.bounding_box()
    start = centre["x"] + centre["width"] / 2, centre["y"] + centre["height"] / 2
    before = mixed(page)
    keep(page, ".simplex-explorer", f"geodesics-{program}-start")

    for number, name in enumerate(("T 0-4 rotated", "T 5-9 blurred", "T noisy")):
        u, v = corner(page, number)
        outside = u + 3 * (u - start[0]), v + 3 * (v - start[1])  # beyond the vertex: the point stays on the triangle
        drag(page, (start, outside))
        until(page, f"the mix is {name}", lambda name=name: mixed(page) == row(page, name))
        assert mixed(page) != before
        start = u, v
        assert f"{name[2:]} 100 %" in handle.get_attribute("aria-valuetext")
    delays = page.evaluate("() => window.delays")
    print(f"{program}: {len(delays)} answers, drawn {sorted(delays)[len(delays) // 2]} ms after the request (median)")

    handle.press("1")
    until(page, "vertex by key", lambda: mixed(page) == row(page, "T 0-4 rotated"))
    handle.press("0")
    until(page, "centre by key", lambda: mixed(page) == before)
    for _ in range(3):
        handle.press("ArrowRight")
    until(page, "arrow keys", lambda: mixed(page) != before)
    assert "noisy 39 %" in handle.get_attribute("aria-valuetext")
    if program == "jupyterlab":
        assert page.locator(".jp-MarkdownCell").count() == 0, "number keys are the triangle's, not the notebook's"


def test_touch_moves_the_point(page, explorers):
    explorers("voila")
    (x, y), (u, v) = corner(page, 0), corner(page, 2)
    touch = page.context.new_cdp_session(page)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    for kind, points in (
        ("touchStart", [{"x": x, "y": y}]),
        *(("touchMove", [{"x": x + (u - x) * i / 8, "y": y + (v - y) * i / 8}]) for i in range(1, 9)),
        ("touchEnd", []),
    ):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    until(page, "touch", lambda: mixed(page) == row(page, "T noisy"))


def test_controls_reach_the_method(page, explorers):
    explorers("jupyterlab")
    box = page.locator(".simplex-explorer")
    start = mixed(page)
    box.get_by_role("button", name="optimum ★", exact=True).click()
    until(page, "snap", lambda: mixed(page) != start)
    handle, star = (page.locator(f".simplex-explorer .geo-triangle {each}").bounding_box() for each in (".handle", ".optimum"))
    for axis, size in (("x", "width"), ("y", "height")):
        assert abs(handle[axis] + handle[size] / 2 - star[axis] - star[size] / 2) < 2.5
    assert readout(page, "exact distance").startswith("–")
    box.get_by_role("button", name="measure exact distance").click()
    until(page, "measurement", lambda: not readout(page, "exact distance").startswith("–"))
    keep(page, ".simplex-explorer", "geodesics-measured")

    costs = readout(page, "couplings")
    lam_y = box.locator(".widget-slider .noUi-handle").nth(1)
    lam_y.focus()
    lam_y.press("End")
    until(page, "labels weigh more", lambda: readout(page, "couplings") != costs)
    assert readout(page, "exact distance").startswith("–"), "what was measured was of another state"
    box.locator("select").nth(1).select_option(label="mixup (random pairs)")
    until(page, "other maps", lambda: "draw of noisy" in page.evaluate(ROWS, ".simplex-explorer"))
    box.locator("select").nth(3).select_option(label="measured accuracy")
    until(page, "grid", lambda: page.locator(".simplex-explorer .geo-triangle .grid").count() == 28)
    keep(page, ".simplex-explorer", "geodesics-accuracy")

    box.locator("select").nth(0).select_option(label="toy")
    page.locator(".simplex-explorer .geo-points").wait_for()
    until(page, "names", lambda: page.locator(".simplex-explorer .geo-triangle .corner").nth(2).text_content() == "P3P3")
    keep(page, ".simplex-explorer", "geodesics-toy")
    page.set_viewport_size({"width": 1000, "height": 1500})  # about 700 are the notebook's
    keep(page, ".simplex-explorer", "geodesics-narrow")


def test_path_between_two_sets(page, explorers):
    explorers("voila")
    box = page.locator(".path-explorer")
    box.scroll_into_view_if_needed()
    t = box.locator(".widget-slider .noUi-handle")
    t.focus()
    t.press("End")
    until(page, "the end", lambda: mixed(page, ".path-explorer") == row(page, "0-4 rotated", ".path-explorer"))
    t.press("Home")
    until(page, "the start", lambda: mixed(page, ".path-explorer") == row(page, "digits", ".path-explorer"))
    assert readout(page, "speed", ".path-explorer").startswith("constant")
    keep(page, ".path-explorer", "path")
    box.locator("select").nth(2).select_option(label="random pairs")
    until(page, "rough", lambda: "⚠ speed" in page.locator(".path-explorer .geo-term").all_inner_texts())
    keep(page, ".path-explorer", "path-random")
