"""The random-scaling explorer of synthetic outcomes under real keys and a real pointer, in JupyterLab and in Voila."""

from pathlib import Path

import pytest

from tests.browser.driving import keep, open_notebook, press, until, write_notebook

SCENE = Path(__file__).parents[1] / "explorers" / "random_scaling_scene.py"
SHOW = """
from lib.explorers.random_scaling_widget import RandomScalingExplorer
from lib.figures import use_style
use_style()
RandomScalingExplorer(scene).display()
"""
BOX = ".random-scaling-explorer"
SOURCE, LENGTH, METRIC = range(3)  # menus in their order
# How long after a key or a click the answer was drawn.
WATCH = """() => {
  let asked = 0;
  window.delays = [];
  for (const kind of ['keydown', 'pointerdown']) addEventListener(kind, () => (asked = performance.now()), true);
  new MutationObserver(() => window.delays.push(performance.now() - asked))
    .observe(document.querySelector('.rs-explorer'), {attributes: true, attributeFilter: ['data-number']});
}"""
# Texts of one picture that lie on each other, or that reach out of it on either side, once nothing moves any more:
# a label jumps to its line's other side at once, while the line is still on its way.
CLASHES = """async () => {
  const explorer = document.querySelector('.rs-explorer'), moving = () => explorer.getAnimations({subtree: true});
  while (moving().length) await Promise.allSettled(moving().map(each => each.finished));
  return [...explorer.querySelectorAll('svg')].flatMap(svg => {
    const box = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()])
      .filter(([, r]) => r.width);
    const over = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4;
    return texts.flatMap(([name, r], i) => [
      ...(r.left < box.left - 1 || r.right > box.right + 1 ? [`${name} reaches out`] : []),
      ...texts.slice(i + 1).filter(([, other]) => over(r, other)).map(([other]) => `${name} on ${other}`),
    ]);
  });
}"""


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """A notebook of the explorer, in a folder of its own."""
    return write_notebook(
        tmp_path_factory.mktemp("random-scaling") / "random-scaling.ipynb", SCENE.read_text(encoding="utf-8"), SHOW
    )


@pytest.fixture
def explorer(page, served, synthetic):
    """Open the notebook in a program and wait until the explorer is drawn."""

    def open_in(program):
        open_notebook(page, served, program, synthetic)
        page.locator(f"{BOX} .rs-dot").nth(29).wait_for(state="attached", timeout=180_000)
        page.locator(f"{BOX} .rs-afford circle").first.wait_for(state="attached")
        page.locator(BOX).first.scroll_into_view_if_needed()
        page.evaluate(WATCH)
        return page.locator(BOX).first

    return open_in


def choose(box, menu, **option):
    box.locator("select").nth(menu).select_option(**option)


def title(box):
    return box.locator(".rs-distribution .rs-title").inner_text()


def says(box, name):
    terms = box.locator(".rs-term").all_inner_texts()
    return box.locator(".rs-words").nth(terms.index(name)).inner_text() if name in terms else ""


def dots(box):
    """Where the dots are or move to, from left to right."""
    return box.locator(".rs-dot").evaluate_all("all => all.map(dot => Number(dot.getAttribute('cx')))")


def play(box, button):
    box.locator("button:has(.fa-play), button:has(.fa-pause)").nth(button).click()


def axis(box):
    return box.locator(".rs-distribution .rs-axis").inner_text()


def test_scales_morph_and_thresholds_metrics_and_sources_follow(page, explorer):
    box = explorer("voila")
    assert title(box) == "30 seeds at width 32"
    assert page.evaluate(CLASHES) == []
    keep(page, BOX, "random-scaling-start")

    at_32 = dots(box)
    press(box, 0, "ArrowRight", 7)
    until(page, "between", lambda: title(box) == "30 seeds at width 32 to 48, 35 % of the way")
    assert "between trained scales: interpolated" in box.locator(".rs-distribution .rs-sub").inner_text()
    between = dots(box)
    assert between != at_32
    assert box.locator(".rs-panel .rs-ring:visible").count() == 0, "nothing was measured here"
    keep(page, BOX, "random-scaling-between")
    press(box, 0, "ArrowRight", 13)
    until(page, "width 48", lambda: title(box) == "30 seeds at width 48")
    expected = [left + 0.35 * (right - left) for left, right in zip(at_32, dots(box), strict=True)]
    assert between == pytest.approx(expected, abs=0.2), "every dot moves along a straight line"
    assert box.locator(".rs-panel .rs-ring:visible").count() == 4

    play(box, 0)
    until(page, "play", lambda: title(box).startswith("30 seeds at width 48 to 64"))
    play(box, 0)
    page.wait_for_timeout(300)
    stopped = title(box)
    page.wait_for_timeout(400)
    assert title(box) == stopped

    before = says(box, "P(success)")
    press(box, 1, "End")
    until(page, "threshold", lambda: says(box, "P(success)") != before)
    assert "above τ = 0.95" in says(box, "P(success)")
    press(box, 2, "ArrowRight", 2)
    until(page, "three seeds", lambda: "best of 3" in box.locator(".rs-afford .rs-keys").inner_text())
    delays = sorted(page.evaluate("() => window.delays"))
    print(f"{len(delays)} answers, drawn after {delays[len(delays) // 2]:.0f} ms (median)")

    choose(box, LENGTH, label="8")
    until(page, "length", lambda: "exam length 8" in axis(box))
    choose(box, METRIC, label="negative log-likelihood")
    until(page, "nats", lambda: " nats " in says(box, "mean"))
    assert box.locator(".rs-tau:visible").count() == 0, "nats have no threshold"
    assert box.locator(".rs-panel:visible").count() == 2
    assert "threshold on nats" in box.locator(".rs-why").inner_text()
    assert page.evaluate(CLASHES) == []
    keep(page, BOX, "random-scaling-nats")

    choose(box, SOURCE, label="the analytic mixture")
    until(page, "mixture", lambda: title(box).startswith("The mixture at scale"))
    assert box.locator(".rs-dot").count() == 40
    first = says(box, "largest step of the mode")
    press(box, 0, "ArrowRight", 10)
    until(page, "another mixture", lambda: says(box, "largest step of the mode") != first)
    assert page.evaluate(CLASHES) == []
    keep(page, BOX, "random-scaling-mixture")


def test_seeds_are_clicked_and_fresh_ones_trained(page, explorer):
    box = explorer("jupyterlab")
    press(box, 0, "Home")
    until(page, "smallest", lambda: title(box) == "30 seeds at width 8")
    page.wait_for_timeout(200)
    spot = box.locator(".rs-dot").nth(29).bounding_box()
    page.mouse.click(spot["x"] + spot["width"] / 2, spot["y"] + spot["height"] / 2)
    until(page, "a dot's seed", lambda: "clicked: seed" in box.locator(".rs-bundle .rs-keys").inner_text())
    name = box.locator(".rs-bundle .rs-key").last.inner_text().removeprefix("clicked: ")
    assert "L = " in says(box, name)
    assert box.locator(".rs-bundle .rs-chosen").count() == 1
    ring, dot = (box.locator(each).bounding_box() for each in (".rs-ring.rs-chosen", ".rs-dot >> nth=29"))
    assert ring["x"] + ring["width"] / 2 == pytest.approx(dot["x"] + dot["width"] / 2, abs=1)
    keep(page, BOX, "random-scaling-clicked")

    page.keyboard.press("ArrowLeft")
    until(page, "the next seed", lambda: not says(box, name))
    for key in ("a", "b", "m"):
        page.keyboard.press(key)
    assert page.locator(".jp-MarkdownCell").count() == 0, "keys are the explorer's, not the notebook's"
    assert page.locator(".jp-CodeCell").count() == 2
    page.keyboard.press("Escape")
    until(page, "no seed", lambda: box.locator(".rs-bundle .rs-chosen").count() == 0)

    curves = box.locator(".rs-bundle svg").bounding_box()
    page.mouse.click(curves["x"] + curves["width"] - 30, curves["y"] + 24)
    until(page, "a curve's seed", lambda: box.locator(".rs-bundle .rs-chosen").count() == 1)
    panel = box.locator(".rs-panel-p_success svg").bounding_box()
    page.mouse.click(panel["x"] + panel["width"] - 26, panel["y"] + 60)
    until(page, "largest scale", lambda: title(box) == "30 seeds at width 64")

    button = box.get_by_role("button", name="train 8 fresh seeds at width 8 now")
    button.click()
    until(page, "fresh seeds", lambda: box.locator(".rs-fresh").count() == 8)
    assert title(box) == "30 seeds at width 8"
    button.click()
    until(page, "more", lambda: box.locator(".rs-fresh").count() == 16)
    assert says(box, "fresh seeds").startswith("16 trained now")
    keep(page, BOX, "random-scaling-trained")
    choose(box, METRIC, label="per-token accuracy")
    until(page, "off", button.is_disabled)
    until(page, "no fresh seeds", lambda: box.locator(".rs-fresh").count() == 0)
    for width in (1000, 640):
        page.set_viewport_size({"width": width, "height": 1500})
        page.wait_for_timeout(400)
        assert page.evaluate(CLASHES) == []
        keep(page, BOX, f"random-scaling-{width}")
