"""How a job's progress is told."""

from ichscope.batch.throughput import Throughput, duration, progress_text
from ichscope.store import Job


def test_progress_in_words() -> None:
    throughput = Throughput()
    for at in range(3):
        job = Job(1, "folder", "", {}, None, True, {"done": 60 * at, "failed": at, "pending": 880 - 61 * at})
        throughput.see(job, at=60.0 * at)
    assert progress_text(job, throughput) == "122 of 880 studies, 2 failed, 61/min, 12 min left"
    assert [duration(seconds) for seconds in (5, 600, 9000)] == ["5 s", "10 min", "2.5 h"]
