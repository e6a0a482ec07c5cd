#!/bin/sh
# Install ICHScope into .venv of this checkout: deploy/install.sh [LOCK]
# Only files whose SHA-256 stands in the lock are taken, and nothing is built but the checkout's own entry. Where a folder
# wheels/ lies beside it (`make wheelhouse`), they come from there and no network is needed.
set -eu
cd "$(dirname "$0")/.."
lock=${1:-requirements-run.lock}
python=${PYTHON:-python3.11}

if [ ! -x .venv/bin/python ]; then
    "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2> /dev/null || {
        echo "ICHScope needs Python 3.11 with its venv module; '$python' is missing, older or incomplete."
        echo "Debian or Ubuntu: apt-get install python3.11 python3.11-venv"
        echo "Installed elsewhere: set PYTHON=/path/to/python3.11"
        exit 1
    } >&2
    "$python" -m venv .venv
fi

pip() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile "$@"
}
set -- --require-hashes --only-binary :all: --requirement "$lock"
if [ -d wheels ]; then
    set -- --no-index --find-links wheels "$@"
fi
pip "$@"
pip --no-index --no-deps --no-build-isolation --editable .
# Bytecode of everything, on all cores, for users who may not write here; a few packages ship templates that do not compile.
.venv/bin/python -W ignore -m compileall -qq -j 0 .venv/lib ichscope dashboard || true
