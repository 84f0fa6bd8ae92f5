"""What the browser tests share: notebooks to open, Run All Cells, keys on sliders, waiting, and screenshots."""

import os
from pathlib import Path

import nbformat

CELLS = """() => ({
  prompts: [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')].map(prompt => prompt.textContent),
  kernel: document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status,
  complaints: [...document.querySelectorAll('.jp-OutputArea-output')].map(output => output.innerText)
    .filter(text => text.includes('Traceback (most recent call last)')),
})"""
LOST_S = 10  # a kernel that is idle for so long, while cells wait for it, has not heard of them
LONGEST_S = 300  # that a kernel may work on the cells of a test
TRIES = 5


def write_notebook(path, *sources):
    """A notebook of these code cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def open_notebook(page, served, program, path):
    """Open it in JupyterLab, and run all, or as a page of Voila."""
    url = served(program, path)
    if program == "jupyterlab":
        page.goto(f"{url}/lab/tree/{path.name}")
        run_all(page)
    else:
        page.goto(url, timeout=180_000)


def press(box, slider, key, times=1):
    """Keys on a slider that is to be seen, counted from above."""
    handle = box.locator(".noUi-handle:visible").nth(slider)
    handle.focus()
    for _ in range(times):
        handle.press(key)


def run_all(page):
    """Choose Run All Cells and wait for the end of the last, and choose it again where a cell is lost: on a busy machine the
    menu may be there before the kernel is, and what is asked of a kernel that is not yet there may never be answered."""
    for _ in range(TRIES):
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for(state="attached")
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        if (found := _all_cells_ran(page)) is None:
            return
        page.reload()
    raise AssertionError(f"Run All Cells did not bring every cell to its end: {found}")


def _all_cells_ran(page):
    """Wait until every cell has run, and give None; or what is to be seen once the kernel does not work on them any more."""
    quiet_s, step_s = 0.0, 0.25
    for _ in range(int(LONGEST_S / step_s)):
        page.wait_for_timeout(1000 * step_s)
        found = page.evaluate(CELLS)
        assert found["complaints"] == [], found["complaints"][0]
        if found["prompts"] and all(prompt.strip("[]: ").isdigit() for prompt in found["prompts"]):
            return None
        quiet_s = 0.0 if found["kernel"] == "busy" else quiet_s + step_s
        if quiet_s > LOST_S:
            return found
    raise AssertionError(f"the cells did not come to their end within {LONGEST_S} s: {found}")


def until(page, what, condition):
    """Wait until a condition holds that looks at the page, and give what it gave."""
    for _ in range(150):
        if found := condition():
            return found
        page.wait_for_timeout(100)
    raise AssertionError(f"never came: {what}")


def keep(page, box, name):
    """A screenshot of what `box` selects, where somebody asked for them by STUDIES_SCREENSHOTS."""
    if folder := os.environ.get("STUDIES_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.locator(box).first.screenshot(path=Path(folder) / f"{name}.png")
