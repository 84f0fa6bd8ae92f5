"""The distance explorer as a reader meets it: in JupyterLab after Run All, and in Voila."""

import pytest

from tests.browser.driving import keep, open_notebook, until

BOX = ".distance-explorer"
READ = """() => {
  const found = {};
  for (const trace of document.querySelector('.distance-explorer .js-plotly-plot').data)
    found[trace.name] = {x: Array.from(trace.x || []), y: Array.from(trace.y || []), text: trace.text};
  return found;
}"""


def traces(page, condition, what):
    """Wait until a condition on the figure's traces holds, and give the traces."""

    def found():
        drawn = page.evaluate(READ)
        return drawn if condition(drawn) else None

    return until(page, what, found)


def open_explorer(page, served, program, notebook):
    open_notebook(page, served, program, notebook)
    page.locator(f"{BOX} .js-plotly-plot .main-svg").first.wait_for(timeout=180_000)
    page.locator(BOX).first.scroll_into_view_if_needed()
    return page.locator(BOX).first


@pytest.mark.parametrize("program", ["jupyterlab", "voila"])
def test_move_slider_change_distance_pick_soup(page, served, notebook, program):
    box = open_explorer(page, served, program, notebook)
    before = traces(page, lambda t: len(t.get("ingredients", {"x": []})["x"]) == 6, "first drawing")
    keep(page, BOX, f"{program}-start")

    handle = box.locator(".widget-slider .noUi-handle").first
    handle.focus()
    for _ in range(4):
        handle.press("ArrowRight")
    moved = traces(page, lambda t: t["cursor id_test"]["x"] == [4, 4], "step slider")
    assert moved["members"] != before["members"] or moved["rejected"] != before["rejected"]
    assert moved["ingredients"]["x"] == before["ingredients"]["x"], "a step must not move the map"
    assert "4" in box.locator(".widget-slider .widget-readout").first.inner_text()
    keep(page, BOX, f"{program}-step")

    box.locator("select").nth(1).select_option(label="d_E weight distance")
    other = traces(page, lambda t: t["ingredients"]["x"] != before["ingredients"]["x"], "distance")
    keep(page, BOX, f"{program}-distance")

    for model in ("0", "3", "5"):
        box.get_by_role("button", name=model, exact=True).click()
    picked = traces(page, lambda t: len(t["manual"]["x"]) == 1, "manual soup")
    score = box.locator(".explorer-manual-score")
    page.wait_for_function("() => document.querySelector('.explorer-manual-score').innerText.includes('(0, 3, 5)')")
    assert "ID validation" in score.inner_text()
    assert picked["ingredients"]["x"] == other["ingredients"]["x"]
    bars = "() => document.querySelector('.distance-explorer .js-plotly-plot')._fullData.filter(t => t.marker?.showscale).length"
    assert page.evaluate(bars) == 1, "one colour bar, that of the ingredients"
    keep(page, BOX, f"{program}-manual")

    box.locator("select").nth(0).select_option(label="shift")
    traces(page, lambda t: t["ingredients"]["x"] != other["ingredients"]["x"], "held-out domain")


def test_hover_and_click_on_the_map(page, served, notebook):
    box = open_explorer(page, served, "jupyterlab", notebook)
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
    keep(page, BOX, "hover")
    page.mouse.click(point["x"], point["y"])
    traces(page, lambda t: len(t["manual"]["x"]) == 1, "click on a model")
    assert "your soup of 1" in box.locator(".explorer-manual-score").inner_text()
