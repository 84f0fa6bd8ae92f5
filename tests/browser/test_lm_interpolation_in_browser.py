"""The lm-interpolation explorer of the tiny model under real keys and a real pointer, in JupyterLab and in Voila."""

from pathlib import Path

import pytest

from tests.browser.driving import keep, open_notebook, press, until, write_notebook

SCENE = Path(__file__).parents[1] / "explorers" / "lm_interpolation_scene.py"
SHOW = """
from lib.explorers.lm_interpolation_widget import MixExplorer
from lib.figures import use_style
use_style()
explorer = MixExplorer(scene)
explorer.display()
"""
AFTER = """
from lib.language.mixing import Mixer
with Mixer(backbone, adapters) as mixer:
    mixer.apply({(NAMES[0], "+"): 1.0})
print("the model is the notebook's own")
"""
BOX = ".mix-explorer"
TOKENS, TEMPERATURE, ALPHA_A, LAMBDA_A, OTHER_ALPHA_A, OTHER_LAMBDA_A, ALPHA_B, LAMBDA_B = range(8)  # sliders in their order
# What lies on each other or reaches out of the explorer, once nothing moves any more.
CLASHES = """async () => {
  const explorer = document.querySelector('.mix-explorer'), moving = () => explorer.getAnimations({subtree: true});
  while (moving().length) await Promise.allSettled(moving().map(each => each.finished));
  const outer = explorer.getBoundingClientRect(), found = [];
  const over = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2;
  const among = (elements) => {
    const boxes = elements.map(e => [e.textContent, e.getBoundingClientRect()]).filter(([, r]) => r.width);
    boxes.forEach(([name, r], i) => {
      if (r.left < outer.left - 1 || r.right > outer.right + 1) found.push(`${name} reaches out`);
      for (const [other, s] of boxes.slice(i + 1)) if (over(r, s)) found.push(`${name} on ${other}`);
    });
  };
  for (const scale of explorer.querySelectorAll('.lm-scale')) among([...scale.children]);
  among([...explorer.querySelectorAll('.lm-token-name, .lm-pair, .lm-token-value, .lm-title, .lm-anchor-list > span')]);
  among([...explorer.querySelectorAll('.lm-mix, .lm-page, .lm-error, .lm-status, .lm-name, .lm-said, .lm-key, .lm-note')]);
  among([...explorer.querySelectorAll('button, .widget-readout, .widget-label, input')]);
  return found;
}"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A notebook of the explorer, in a folder of its own."""
    return write_notebook(
        tmp_path_factory.mktemp("lm-interpolation") / "lm-interpolation.ipynb", SCENE.read_text(encoding="utf-8"), SHOW, AFTER
    )


@pytest.fixture
def explorer(page, served, tiny):
    """Open the notebook in a program and wait until both texts are written."""

    def open_in(program):
        open_notebook(page, served, program, tiny)
        page.locator(f"{BOX} .lm-token").nth(9).wait_for(state="attached", timeout=180_000)
        page.locator(BOX).first.scroll_into_view_if_needed()
        box = page.locator(BOX).first
        written(page, box)
        return box

    return open_in


def texts(box):
    """Both continuations, as they are shown."""
    panes = [box.locator(f".lm-pane[data-pane={name}]") for name in "AB"]
    return [pane.locator(".lm-shared").text_content() + pane.locator(".lm-rest").text_content() for pane in panes]


def mix(box, pane):
    return box.locator(f".lm-pane[data-pane={pane}] .lm-mix").inner_text()


def written(page, box, what="texts"):
    """Wait until nothing is being written."""
    until(page, what, lambda: box.locator(".lm-status").evaluate_all("all => all.every(s => / ms$/.test(s.textContent))"))


def probabilities(box):
    return box.locator(".lm-token-value").all_inner_texts()


def test_a_slider_writes_its_pane_anew_and_the_other_keeps_its_text(page, explorer):
    box = explorer("jupyterlab")
    first, chances = texts(box), probabilities(box)
    assert first[0] != first[1]
    assert page.evaluate(CLASHES) == []
    keep(page, BOX, "lm-interpolation-start")

    press(box, ALPHA_A, "Home")
    until(page, "the other end", lambda: "α = −1.00" in mix(box, "A"))
    written(page, box)
    second = texts(box)
    assert second[0] != first[0]
    assert second[1] == first[1]
    assert probabilities(box) != chances
    assert "extrapolation" in box.locator(".lm-pane[data-pane=A] .lm-notes").inner_text()
    assert page.evaluate(CLASHES) == []
    keep(page, BOX, "lm-interpolation-extrapolated")

    press(box, ALPHA_A, "ArrowRight", 40)  # faster than texts can be written
    until(page, "back", lambda: "α = 1.00" in mix(box, "A"))
    written(page, box)
    assert texts(box) == first, "the same mix, the same text"
    assert page.get_by_text("the model is the notebook's own", exact=True).count() >= 1

    page.set_viewport_size({"width": 760, "height": 2500})  # about 460 are the notebook's
    page.wait_for_timeout(400)
    assert page.evaluate(CLASHES) == []
    keep(page, BOX, "lm-interpolation-narrow")


def test_mixes_are_copied_scored_and_refused_and_anchors_write(page, explorer):
    box = explorer("voila")
    first = texts(box)
    press(box, LAMBDA_A, "Home")
    until(page, "without the first attribute", lambda: "generated-sentiment" not in mix(box, "A"))
    press(box, OTHER_LAMBDA_A, "Home")
    error = box.locator(".lm-pane[data-pane=A] .lm-error")
    until(page, "an error", lambda: "all of them are 0" in error.inner_text())
    assert texts(box)[0] == ""
    assert texts(box)[1] == first[1]
    keep(page, BOX, "lm-interpolation-error")
    press(box, LAMBDA_A, "End")
    written(page, box)
    assert error.is_hidden()

    box.get_by_role("button", name="copy A to B").click()
    until(page, "the same mix", lambda: mix(box, "B")[1:] == mix(box, "A")[1:])
    written(page, box)
    assert texts(box)[0] == texts(box)[1] != ""
    press(box, ALPHA_B, "Home")
    until(page, "apart", lambda: mix(box, "B")[1:] != mix(box, "A")[1:])
    written(page, box)
    assert texts(box)[0] != texts(box)[1]

    before = texts(box)
    prompt = box.locator("input[type=text]:visible").first
    prompt.fill("The young teacher")
    until(page, "a prompt", lambda: box.locator(".lm-prompt").all_inner_texts() == ["The young teacher"] * 2)
    written(page, box)
    assert texts(box) != before
    box.locator("select").first.select_option(label="My sister could not find")
    until(page, "a ready prompt", lambda: "My sister could not find" in box.locator(".lm-tokens .lm-title").first.inner_text())
    assert prompt.input_value() == "My sister could not find"
    written(page, box)

    box.get_by_role("button", name="score 8 samples").click()
    until(page, "samples", lambda: box.locator(".lm-mean:visible").count() == 2 * 2 + 2)  # those of the legends too
    box.get_by_role("button", name="the anchors’ texts").click()
    until(
        page, "anchors", lambda: box.locator(".lm-anchor-score").evaluate_all("all => all.filter(s => s.textContent).length") == 4
    )
    assert page.evaluate(CLASHES) == []
    keep(page, BOX, "lm-interpolation-scored")
    page.set_viewport_size({"width": 420, "height": 3000})
    page.wait_for_timeout(400)
    assert page.evaluate(CLASHES) == []
    keep(page, BOX, "lm-interpolation-phone")
