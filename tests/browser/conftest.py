"""The real server and a real Chromium. Skipped with the reason where Chromium is absent, but never on CI."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from ichscope.access import Right, Role
from ichscope.store import Store, volumes
from tests.support import results_builder as build
from tests.support import store_cases as cases
from tests.support import tiny_model

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--headless",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
# What stands on each page when it is complete; `filled` makes the study that is opened.
PAGES = {
    "": "text=Drop a study here",
    "worklist": ".studies a",
    "worklist?study=1": ".viewer[data-slice]",
    "archive": "text=No archive is named",
    "cohort": ".js-plotly-plot",
    "performance": ".js-plotly-plot",
    "monitoring": "table.models",
    "models": "table.models",
    "users": "table.models",
    "audit_trail": "table.models",
}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        missing = "chromium is not installed (Debian: apt-get install chromium)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which finds what a screen reader or weak eyes stumble over."""
    path = ROOT / ".cache/axe/node_modules/axe-core/axe.min.js"
    if not path.is_file():
        missing = "axe-core is not installed (npm, then `make axe`)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two tiny models."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("cranioscan", "cerebroscan"):
        tiny_model.build(folder, name)
    return folder


@pytest.fixture(scope="session")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a dashboard whose store is empty at first."""
    with serve(models, tmp_path_factory.mktemp("home")) as address:
        yield address


def filled(store: Store) -> int:
    """Put one study to look at into a store, many with results, and a person; gives the number of the one."""
    result = cases.study("seen", build.model(along=(0.0, 0.9), probability={"subdural": 0.8}))
    path = volumes.save(store.volumes, cases.content("seen"), result)
    study = store.results.record(result, cases.content("seen"), volume=path)
    cases.many(store, 60)
    store.accounts.add("Ann", Role.READER, "purple tractor lamp 9")
    store.tokens.add("PACS", [Right.SEE], timedelta(days=30))
    return study


@contextmanager
def serve(models: Path, home: Path, theme: str = "dark", **variables: str) -> Iterator[str]:
    """Run the dashboard with a store of its own, and what else the environment says; gives its address."""
    port = _free_port()
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", str(port)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    environment |= {
        "ICHSCOPE_MODELS": str(models),
        "ICHSCOPE_HOME": str(home),
        "STREAMLIT_THEME_BASE": f".streamlit/{theme}.toml",
        **variables,
    }
    environment.pop("ICHSCOPE_DATABASE_URL", None)
    log = home / "server.txt"
    with (
        log.open("wb") as file,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait(f"http://localhost:{port}/healthz", process, log)
            yield f"http://localhost:{port}"
        finally:
            process.terminate()
    assert "Traceback" not in log.read_text()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.25)
        if process.poll() is not None:
            break
    pytest.fail(f"the dashboard did not start:\n{log.read_text()}")
