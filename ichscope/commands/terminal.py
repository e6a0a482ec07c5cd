"""What `ichscope analyse` shows in a terminal: progress while it works, then a table with numbered notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ichscope.imaging.findings import Status
from ichscope.labels import SUBTYPES
from ichscope.models.detector import Detector
from ichscope.results import ModelResult, SeriesResult, StudyResult

# The field's own abbreviations; a column has no room for the names.
_SHORT = dict(zip(SUBTYPES, ("EDH", "IPH", "IVH", "SAH", "SDH"), strict=True))


@contextmanager
def progress() -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on stderr, if that is a terminal; gives the callback (done, total, text) that moves it."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Looking for series", total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=plain(text))


class ResultTable:
    """A table that grows by a row a series, study by study; reasons that several series share are said once, below."""

    def __init__(self, detectors: Mapping[str, Detector]) -> None:
        self._models = {name: f"{name} {d.card.version} on {d.provider}" for name, d in detectors.items()}
        self._notes: dict[str, int] = {}
        self._statuses: list[str] = []
        self._series = 0
        self._remarks: list[str] = []
        self._table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        self._table.add_column("Series", overflow="fold")
        self._table.add_column("Slices", justify="right")
        for heading in ("Status", *self._models):
            self._table.add_column(heading)

    def add(self, study: StudyResult) -> None:
        """Take the results of one study into the table; their arrays are not kept."""
        for result in study.series:
            self._add_series(result)
        self._statuses.append(study.status)
        self._series += len(study.series)

    def say(self, text: str) -> None:
        """Take a remark on the whole, to be printed after the notes."""
        self._remarks.append(text)

    def _add_series(self, result: SeriesResult) -> None:
        numbers = [str(self._notes.setdefault(reason, len(self._notes) + 1)) for reason in result.reasons]
        status = "other series" if result.left_to_another else result.status
        status += f" ({', '.join(numbers)})" if numbers else ""
        verdicts = [_verdict(result.models.get(name)) for name in self._models]
        self._table.add_row(escape(plain(result.name)), str(len(result.slices)), status, *verdicts)

    def show(self, to_stderr: bool = False) -> None:
        """Print the table, the notes and how many studies there were."""
        console = Console(stderr=to_stderr, highlight=False)
        if self._statuses:
            console.print(self._table)
        for reason, number in self._notes.items():
            console.print(f"({number}) {escape(plain(reason))}", soft_wrap=True)
        for text in self._remarks:
            console.print(escape(plain(text)), soft_wrap=True)
        console.print(_count(self._statuses, self._series))
        console.print(f"{', '.join(self._models.values())}. Research use only, not for diagnosis.", soft_wrap=True)


def plain(text: str) -> str:
    """Show text from outside without what a terminal would take as a command."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _verdict(model: ModelResult | None) -> str:
    """Say `flagged 0.93 SDH`, with the subtypes that reach their own thresholds."""
    if model is None:
        return ""
    score = f"{model.probability['any']:.2f}"
    if not model.flagged:
        return f"not flagged {score}"
    kinds = [short for label, short in _SHORT.items() if model.reaches(label)]
    return " ".join((f"[bold red]flagged[/] {score}", *kinds))


def _count(statuses: Sequence[str], series: int) -> str:
    if not statuses:
        return "Found nothing to analyse: no CT series and no JPG or PNG picture."
    studies = "1 study" if len(statuses) == 1 else f"{len(statuses)} studies"
    several = f" with {series} series" if series > len(statuses) else ""
    return f"{studies}{several}: " + ", ".join(f"{statuses.count(status)} {status}" for status in Status)
