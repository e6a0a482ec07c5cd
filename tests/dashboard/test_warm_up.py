"""One thread loads what all pages need, so that none meets a module that another has half imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

_PROBE = """
import sys, threading
from dashboard import warm_up
warm_up._load = lambda: None
warm_up.begin()
warm_up.wait()
before = set(sys.modules)
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("dashboard/router.py", default_timeout=180).run()
for page in ("worklist", "cohort", "performance", "monitoring", "models"):
    app.switch_page(f"views/{page}.py").run()
    assert not app.exception, app.exception
ours = {name for name in set(sys.modules) - before if name.split(".")[0] in ("ichscope", "dashboard")}
print(sorted(ours))
"""


def test_after_it_no_page_imports_a_module_of_ours(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT), "ICHSCOPE_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", _PROBE], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
