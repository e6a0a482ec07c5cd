"""Thousands of HL7 messages with something wrong, sent to a listener: is each answered or refused, and does it live?

    python -m benchmarks.hl7                      # 10,000 messages; about three minutes on two cores
    python -m benchmarks.hl7 --count 500 --first 20000

A number makes a message, so that it can be made again. Wanted: each is acknowledged (AA, AE, AR) or its connection
ended, the listener answers a good message in the end, and memory stays within 100 MB of where it was.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from ichscope.access import by_default, operator
from ichscope.hl7.listening import Listener
from ichscope.hl7.settings import Hl7Settings
from ichscope.hl7.taking import Taking
from ichscope.store import Store
from tests.support.hl7_messages import message, mutated, outcome

_MOST_MB = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="how many (default 10000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    options = parser.parse_args()
    by_default(operator)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(home=Path(folder))
        settings = Hl7Settings(senders=("127.0.0.1",), port=0, message_s=5.0, reports=True)
        refusals: Counter[str] = Counter()
        listener = Listener(settings, Taking(settings, store), lambda text: refusals.update([text]))
        listener.start()
        outcome(listener.port, message().encode())
        before, began = _memory_mb(), time.monotonic()
        answers = Counter(outcome(listener.port, block) for block in mutated(options.count, options.first))
        seconds, alive = time.monotonic() - began, outcome(listener.port, message().encode()) == "AA"
        grown = _memory_mb() - before
        listener.stop()
        store.close()
    print(f"{options.count} messages in {seconds:.0f} s: {dict(answers)}; alive {alive}; {grown:.0f} MB more memory")
    for text, times in refusals.most_common(40):
        print(f"{times:6d}  {text}")
    named = [text for text in refusals if "ZZTOP" in text or "unexpected" in text]
    sys.exit(not alive or "nothing" in answers or grown > _MOST_MB or bool(named))


def _memory_mb() -> float:
    """The most memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
