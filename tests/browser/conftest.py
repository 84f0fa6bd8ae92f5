"""JupyterLab and a real headless Chromium, on this machine's loopback only."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import papermill
import pytest

from lib.studies import find

CHROMIUM = next((path for name in ("chromium", "google-chrome", "chromium-browser") if (path := shutil.which(name))), None)
# As root Chromium needs --no-sandbox; the others keep it from calling home, which a closed network would refuse.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},  # tests share notebooks, and want them as they were
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in str(item.path).replace(os.sep, "/"):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))
            if CHROMIUM is None:
                assert not os.environ.get("CI"), "no Chromium on the machine that decides: tests/run.sh should have installed it"
                item.add_marker(pytest.mark.skip(reason="NO CHROMIUM HERE: the browser tests were not run"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until_up(url, process, seconds=90):
    for _ in range(int(seconds / 0.2)):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)


@pytest.fixture(scope="session")
def notebook(tmp_path_factory):
    """The notebook at test size in a folder of its own, as plain papermill prepares it."""
    entry, folder = find("weight-ensembles"), tmp_path_factory.mktemp("lab")
    path = folder / "weight-ensembles.ipynb"
    changes = {"n_models": 6, "steps": 80}
    parameters = entry.size_params("test").model_dump() | changes
    papermill.execute_notebook(str(entry.notebook), str(path), parameters=parameters, prepare_only=True, progress_bar=False)
    return path


@pytest.fixture(scope="session")
def private_jupyter(tmp_path_factory):
    """The environment of programs of Jupyter that know nothing of this machine's user."""
    home = tmp_path_factory.mktemp("jupyter")
    for name, values in SETTINGS.items():
        file = home / "settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    rooms = {f"JUPYTER_{room}_DIR": str(home / room.lower()) for room in ("CONFIG", "DATA", "RUNTIME")}
    return os.environ | rooms | {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "IPYTHONDIR": str(home / "ipython")}


@pytest.fixture
def served(private_jupyter):
    """Start a server for a notebook's folder: served("jupyterlab", path) or served("voila", path) gives its address.

    It ends with the test, and its kernels with it: theirs is the memory that the next one needs."""
    running = []

    def start(program, notebook):
        port = free_port()
        words = {
            "jupyterlab": [
                "--no-browser",
                "--allow-root",
                f"--port={port}",
                "--IdentityProvider.token=",
                f"--notebook-dir={notebook.parent}",
            ],
            "voila": [str(notebook), "--no-browser", f"--port={port}", "--strip_sources=True"],
        }[program]
        process = subprocess.Popen(
            [sys.executable, "-m", program, *words],
            env=private_jupyter,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=notebook.parent,
        )
        running.append(process)
        url = f"http://127.0.0.1:{port}"
        if program == "jupyterlab":
            wait_until_up(f"{url}/api", process)
        else:
            wait_until_listening(port, process)
        return url

    yield start
    for process in running:
        process.terminate()
        process.wait(20)


def wait_until_listening(port, process, seconds=60):
    """Voila runs the notebook at every request, so only knock at its door."""
    for _ in range(int(seconds / 0.2)):
        assert process.poll() is None, "the server ended"
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(port)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, served):
    """A new page; errors in it, and what a widget's view complains of, fail the test. It is closed before its server ends."""
    page, errors = browser.new_page(viewport={"width": 1500, "height": 1500}), []
    page.set_default_timeout(90_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" and "anywidget" in said.text else None)
    yield page
    page.close()
    assert errors == []
