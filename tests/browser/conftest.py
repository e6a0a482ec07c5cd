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
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

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


@contextmanager
def serve(models: Path, home: Path, theme: str = "dark") -> Iterator[str]:
    """Run the dashboard with a store of its own; gives its address."""
    port = _free_port()
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py", "--server.port", str(port)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    environment |= {
        "ICHSCOPE_MODELS": str(models),
        "ICHSCOPE_HOME": str(home),
        "STREAMLIT_THEME_BASE": f".streamlit/{theme}.toml",
    }
    environment.pop("ICHSCOPE_DATABASE_URL", None)
    log = home / "server.txt"
    with (
        log.open("wb") as file,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait(f"http://localhost:{port}/_stcore/health", process, log)
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
