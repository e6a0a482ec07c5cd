"""The archive for machines without a network holds all that the program needs."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ichscope import __version__

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture(scope="module")
def archive() -> Path:
    """What `make wheelhouse` writes, with the environment as it is."""
    command = ["make", "--old-file=.venv/.all-installed", "wheelhouse"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return ROOT / f"build/ichscope-{__version__}-py311-linux-x86_64.tar"


def test_installed_without_a_network_it_analyses_and_shows_its_first_page(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    kit = tmp_path / archive_root()
    command = [*_without_network(), sys.executable, str(ROOT / "tests/deploy/offline.py"), str(kit)]
    environment = os.environ | {"CHROMIUM": shutil.which("chromium") or ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"flagged": True, "title": "ICHScope"}
    shutil.rmtree(kit)


def test_archive_says_what_is_in_it(archive: Path) -> None:
    with tarfile.open(archive) as packed:
        names = {name.removeprefix(f"{archive_root()}/") for name in packed.getnames()}
        owners = {(member.uid, member.uname) for member in packed}
    assert owners == {(0, "root")}
    assert {"sbom.cdx.json", "licences.md", "LICENSE", "deploy/install.sh", "models/cranioscan/encoder.onnx"} <= names
    assert not [
        name for name in names if re.match(r"(\.git|\.ci|\.venv|var|build|tests|training|export|benchmarks)/", name)
    ]
    subprocess.run(["sha256sum", "--check", "--quiet", f"{archive.name}.sha256"], cwd=archive.parent, check=True)


def archive_root() -> str:
    return f"ichscope-{__version__}"


def _without_network() -> list[str]:
    """The start of a command that runs in a network of its own, in which nobody else is."""
    command = ["unshare", "--map-root-user", "--net"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        missing = f"no network of one's own can be made here: {error}"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    return command
