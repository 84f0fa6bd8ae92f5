"""What the browser tests share: notebooks to open, Run All Cells, keys on sliders, waiting, and screenshots."""

import os
from pathlib import Path

import nbformat
from playwright.sync_api import TimeoutError

STARTED = "() => [...document.querySelectorAll('.jp-InputPrompt')].some(p => /\\[(\\*|\\d+)\\]/.test(p.textContent))"
DONE = "() => [...document.querySelectorAll('.jp-InputPrompt')].some(p => /\\[\\d+\\]/.test(p.textContent))"


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
    """Choose Run All Cells, and again where no cell comes to its end: on a busy machine the menu may be there before the
    kernel is, and what is asked of a kernel that is not yet there may be lost."""
    for _ in range(5):
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for(state="attached")
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            page.wait_for_function(STARTED, timeout=20_000)
            page.wait_for_function(DONE, timeout=90_000)
        except TimeoutError:
            page.reload()
        else:
            return
    raise AssertionError("Run All Cells did not bring any cell to its end")


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
