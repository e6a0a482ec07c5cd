"""Install a kit and use it where there is no network; test_wheelhouse.py runs it by unshare: offline.py KIT."""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

PORT = 8501
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40  # linux/sockios.h, linux/if.h


def main(kit: Path) -> None:
    loopback_only()
    # An account without a home, settings or Python packages of its own.
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(kit.parent), "ICHSCOPE_HOME": str(kit.parent / "home")}
    run = {"cwd": kit, "env": environment, "check": True}
    subprocess.run(["deploy/install.sh"], **run)
    subprocess.run([".venv/bin/ichscope", "phantom", "study", "--bleed", "intraparenchymal"], **run)
    subprocess.run([".venv/bin/ichscope", "analyse", "study", "--json", "results.json"], cwd=kit, env=environment)
    (result,) = json.loads((kit / "results.json").read_text())
    seen = {"flagged": result["models"]["cranioscan"]["flagged"], "title": first_page(kit, environment)}
    sys.stdout.write(json.dumps(seen))


def loopback_only() -> None:
    """Switch the loopback interface on, and see that nothing else can be reached."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP | IFF_RUNNING))
    try:
        socket.create_connection(("192.0.2.1", 443), timeout=2)  # RFC 5737: an address for documents
    except OSError:
        return
    raise AssertionError("there is a network")


def first_page(kit: Path, environment: dict[str, str]) -> str:
    """What the first page says to a browser."""
    command = [".venv/bin/streamlit", "run", "dashboard/app.py", "--server.port", str(PORT)]
    with subprocess.Popen(command, cwd=kit, env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            wait(f"http://localhost:{PORT}/healthz")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
                page = browser.new_page()
                page.goto(f"http://localhost:{PORT}")
                page.get_by_text("Drop a study here").wait_for(timeout=120_000)
                return page.title()
        finally:
            server.terminate()


def wait(address: str) -> None:
    for _ in range(240):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.25)
    raise AssertionError(f"no answer from {address}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
