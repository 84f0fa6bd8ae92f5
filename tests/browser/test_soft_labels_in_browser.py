"""The soft-labels explorer under real keys and a real pointer, in JupyterLab after Run All and in Voila."""

from pathlib import Path

import pytest

from tests.browser.driving import keep, open_notebook, press, until, write_notebook

SCENE = Path(__file__).parents[1] / "explorers" / "soft_labels_scene.py"
SHOW = """
from lib.explorers.soft_labels_widget import SoftLabelExplorer
from lib.figures import use_style
use_style()
SoftLabelExplorer(scene).display()
"""
BOX = ".soft-label-explorer"
EPOCH, TEMPERATURE, SWAP, TOP = range(4)  # sliders in their order
# How long after a key or a click the answer was drawn.
WATCH = """() => {
  let asked = 0;
  window.delays = [];
  for (const kind of ['keydown', 'pointerdown']) addEventListener(kind, () => (asked = performance.now()), true);
  new MutationObserver(() => window.delays.push(performance.now() - asked))
    .observe(document.querySelector('.sl-labels'), {attributes: true, attributeFilter: ['data-number']});
}"""


@pytest.fixture(scope="module")
def few_images(tmp_path_factory):
    """A notebook of the explorer, in a folder of its own."""
    return write_notebook(tmp_path_factory.mktemp("soft-labels") / "soft-labels.ipynb", SCENE.read_text(encoding="utf-8"), SHOW)


@pytest.fixture
def explorer(page, served, few_images):
    """Open the notebook in a program and wait until the explorer is drawn."""

    def open_in(program):
        open_notebook(page, served, program, few_images)
        page.locator(f"{BOX} .sl-buys svg").wait_for(timeout=180_000)
        page.locator(f"{BOX} .sl-thumb").nth(19).wait_for()
        page.locator(BOX).first.scroll_into_view_if_needed()
        page.evaluate(WATCH)
        return page.locator(BOX).first

    return open_in


def shares(box):
    """The bars as they are drawn, between 0 and 1."""
    drawn = box.locator(".sl-fill").evaluate_all("all => all.map(f => /\\((.*)\\)/.exec(f.style.transform)[1])")
    return [float(value) for value in drawn]


def says(box, title):
    terms = box.locator(".sl-term").all_inner_texts()
    return box.locator(".sl-words").nth(terms.index(title)).inner_text()


def pixels(box, selector):
    return box.locator(selector).first.evaluate(
        "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).join()"
    )


def subtitle(box, chart):
    return box.locator(f".sl-{chart} .sl-sub").text_content()


@pytest.mark.parametrize("program", ["jupyterlab", "voila"])
def test_sliders_set_the_labels_and_students_learn_from_them(page, explorer, program):
    box = explorer(program)
    first = shares(box)
    assert len(first) == 10
    assert sum(first) == pytest.approx(1, abs=0.01)
    keep(page, BOX, f"soft-labels-{program}-start")

    press(box, EPOCH, "ArrowRight", 2)
    until(page, "epoch", lambda: says(box, "expert").endswith("epoch 8"))
    assert shares(box) != first
    assert "measured: epoch 8, T = 1" in subtitle(box, "buys")
    sure = max(shares(box))
    press(box, TEMPERATURE, "End")
    until(page, "temperature", lambda: max(shares(box)) < sure / 2)
    assert "nearest measured: epoch" in subtitle(box, "buys")
    keep(page, BOX, f"soft-labels-{program}-softest")
    box.get_by_role("button", name="as the expert gave them").click()
    until(page, "its own labels", lambda: max(shares(box)) == pytest.approx(sure))
    own = shares(box)

    press(box, SWAP, "ArrowRight")
    until(page, "swap", lambda: "k = 1" in subtitle(box, "swap"))
    assert shares(box) != own
    assert sorted(shares(box)) == pytest.approx(sorted(own)), "a swap makes no new shares"
    assert box.locator(".sl-before:visible").count() >= 1
    press(box, TOP, "ArrowLeft", 9)
    until(page, "only the largest", lambda: sum(share > 0 for share in shares(box)) == 1)
    keep(page, BOX, f"soft-labels-{program}-swapped")
    delays = sorted(page.evaluate("() => window.delays"))
    print(
        f"{program}: {len(delays)} answers, drawn after {delays[len(delays) // 2]:.0f} ms (median), {delays[-1]:.0f} ms at most"
    )

    button = box.get_by_role("button", name="train students with these labels now")
    button.click()
    until(page, "students", lambda: "with your labels" in subtitle(box, "trained"))
    press(box, TOP, "End")
    press(box, SWAP, "Home")
    until(page, "whole labels", lambda: "no swap" in subtitle(box, "swap"))
    button.click()
    until(page, "more students", lambda: box.locator(".sl-trained circle").count() == 2)
    gains = [float(text) for text in box.locator(".sl-trained .sl-value").all_text_contents()]
    assert gains[0] > gains[1], "labels as the expert gave them teach more than swapped ones"
    until(page, "ready again", lambda: box.locator(".sl-busy").count() == 0)
    keep(page, BOX, f"soft-labels-{program}-trained")


def test_thumbnails_and_charts_can_be_clicked(page, explorer):
    box = explorer("jupyterlab")
    for image in (0, 13):
        box.locator(".sl-thumb").nth(image).click()
        until(page, "image", lambda image=image: box.locator(".sl-caption").inner_text().startswith(f"image {image + 1} of 20"))
        assert pixels(box, ".sl-image canvas") == pixels(box, f".sl-thumb[data-image='{image}'] canvas")
    assert box.locator(".sl-thumb.sl-chosen").count() == 1
    page.keyboard.press("ArrowRight")
    until(page, "the next", lambda: box.locator(".sl-caption").inner_text().startswith("image 15 of 20"))
    assert box.locator(".sl-thumb:focus").get_attribute("data-image") == "14"
    for key in ("a", "b", "m"):
        page.keyboard.press(key)
    assert page.locator(".jp-MarkdownCell").count() == 0, "keys are the explorer's, not the notebook's"
    assert page.locator(".jp-CodeCell").count() == 2

    box.locator(".sl-buys [data-value='5']").click()
    until(page, "budget", lambda: "at 5 images per class" in says(box, "they buy"))
    assert box.locator("select").first.input_value() == "5"
    box.locator(".sl-swap [data-value='3']").click()
    until(page, "swap", lambda: subtitle(box, "swap").startswith("k = 3"))
    assert box.locator(".widget-slider .widget-readout").nth(SWAP).inner_text() == "3"
    box.locator(".sl-top [data-value='0']").click()
    until(page, "hard labels", lambda: max(shares(box)) == 1)
    assert subtitle(box, "top").startswith("hard labels")
    box.locator("select").nth(1).select_option(label="8")
    until(page, "subject", lambda: "“8”" in box.locator(".sl-zero .sl-title").text_content())
    keep(page, BOX, "soft-labels-clicked")
    page.set_viewport_size({"width": 1000, "height": 1500})  # about 700 are the notebook's
    page.wait_for_timeout(300)
    keep(page, BOX, "soft-labels-narrow")
