"""The unit of systemd is well formed and shut."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Of 100: above 10, for the host's network and local sockets are what a service on the network needs.
MOST_EXPOSED = 13


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, for the environment that runs the tests."""
    if shutil.which("systemd-analyze") is None:
        missing = "systemd-analyze is not installed (Debian: apt-get install systemd)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    text = (ROOT / "deploy/ichscope.service").read_text(encoding="utf-8")
    path = tmp_path / "ichscope.service"
    path.write_text(text.replace("/opt/ichscope", str(ROOT)), encoding="utf-8")
    return path


def test_unit_is_well_formed(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_unit_exposes_little(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={MOST_EXPOSED}", unit]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_unit_that_is_open_is_noticed(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("CapabilityBoundingSet=\n", ""))
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={MOST_EXPOSED}", unit]
    assert subprocess.run(command, capture_output=True).returncode != 0
