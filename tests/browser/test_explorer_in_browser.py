"""The distance explorer as a reader meets it: in JupyterLab after Run All, and in Voila."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError

BOX = ".distance-explorer"
READ = """() => {
  const found = {};
  for (const trace of document.querySelector('.distance-explorer .js-plotly-plot').data)
    found[trace.name] = {x: Array.from(trace.x || []), y: Array.from(trace.y || []), text: trace.text};
  return found;
}"""


def keep(page, name):
    """A screenshot, where somebody asked for it by STUDIES_SCREENSHOTS."""
    if folder := os.environ.get("STUDIES_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.locator(BOX).first.screenshot(path=Path(folder) / f"{name}.png")


def until(page, condition, what):
    """Wait until a condition on the figure's traces holds, and give the traces."""
    for _ in range(150):
        traces = page.evaluate(READ)
        if condition(traces):
            return traces
        page.wait_for_timeout(100)
    raise AssertionError(f"the figure did not change: {what}")


STARTED = "() => [...document.querySelectorAll('.jp-InputPrompt')].some(p => /\\[(\\*|\\d+)\\]/.test(p.textContent))"


def run_all(page):
    """Choose Run All Cells; on a busy machine the menu may be there before the kernel is, so look whether cells do run."""
    for _ in range(5):
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for(state="attached")
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            page.wait_for_function(STARTED, timeout=20_000)
        except TimeoutError:
            page.keyboard.press("Escape")
        else:
            return
    raise AssertionError("Run All Cells did not start any cell")


def open_explorer(page, served, program):
    url = served(program)
    if program == "jupyterlab":
        page.goto(f"{url}/lab/tree/weight-ensembles.ipynb")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        run_all(page)
    else:
        page.goto(url, timeout=180_000)
    page.locator(f"{BOX} .js-plotly-plot .main-svg").first.wait_for(timeout=180_000)
    page.locator(BOX).first.scroll_into_view_if_needed()
    return page.locator(BOX).first


@pytest.mark.parametrize("program", ["jupyterlab", "voila"])
def test_move_slider_change_distance_pick_soup(page, served, program):
    box = open_explorer(page, served, program)
    before = until(page, lambda t: len(t.get("ingredients", {"x": []})["x"]) == 6, "first drawing")
    keep(page, f"{program}-start")

    handle = box.locator(".widget-slider .noUi-handle").first
    handle.focus()
    for _ in range(4):
        handle.press("ArrowRight")
    moved = until(page, lambda t: t["cursor id_test"]["x"] == [4, 4], "step slider")
    assert moved["members"] != before["members"] or moved["rejected"] != before["rejected"]
    assert moved["ingredients"]["x"] == before["ingredients"]["x"], "a step must not move the map"
    assert "4" in box.locator(".widget-slider .widget-readout").first.inner_text()
    keep(page, f"{program}-step")

    box.locator("select").nth(1).select_option(label="d_E weight distance")
    other = until(page, lambda t: t["ingredients"]["x"] != before["ingredients"]["x"], "distance")
    keep(page, f"{program}-distance")

    for model in ("0", "3", "5"):
        box.get_by_role("button", name=model, exact=True).click()
    picked = until(page, lambda t: len(t["manual"]["x"]) == 1, "manual soup")
    score = box.locator(".explorer-manual-score")
    page.wait_for_function("() => document.querySelector('.explorer-manual-score').innerText.includes('(0, 3, 5)')")
    assert "ID validation" in score.inner_text()
    assert picked["ingredients"]["x"] == other["ingredients"]["x"]
    bars = "() => document.querySelector('.distance-explorer .js-plotly-plot')._fullData.filter(t => t.marker?.showscale).length"
    assert page.evaluate(bars) == 1, "one colour bar, that of the ingredients"
    keep(page, f"{program}-manual")

    box.locator("select").nth(0).select_option(label="shift")
    until(page, lambda t: t["ingredients"]["x"] != other["ingredients"]["x"], "held-out domain")


def test_hover_and_click_on_the_map(page, served):
    box = open_explorer(page, served, "jupyterlab")
    point = page.evaluate("""() => {
      const plot = document.querySelector('.distance-explorer .js-plotly-plot');
      const trace = plot.data.find(t => t.name === 'ingredients');
      const frame = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
      return {x: frame.left + xaxis._offset + xaxis.l2p(trace.x[2]), y: frame.top + yaxis._offset + yaxis.l2p(trace.y[2])};
    }""")
    page.mouse.move(point["x"], point["y"])
    page.locator(f"{BOX} .hoverlayer .hovertext").first.wait_for()
    text = page.locator(f"{BOX} .hoverlayer").text_content()
    assert "model" in text
    assert "weight_decay" in text
    keep(page, "hover")
    page.mouse.click(point["x"], point["y"])
    until(page, lambda t: len(t["manual"]["x"]) == 1, "click on a model")
    assert "your soup of 1" in box.locator(".explorer-manual-score").inner_text()
