"""Exit with 0 while the server on this computer answers at /healthz. Command: python -m deploy.healthcheck [PORT]."""

import sys
import urllib.request

if __name__ == "__main__":
    port = sys.argv[1] if len(sys.argv) > 1 else "8501"
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=4).close()
    except OSError as error:
        sys.exit(f"no answer: {error}")
