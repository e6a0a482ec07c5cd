"""The report: one HTML file that needs nothing else, with every figure, table, version and hash of an audit.

The same `EvaluationSet` and `About` give the same bytes.
"""

from __future__ import annotations

import base64
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cached_property
from html import escape
from importlib.metadata import version
from itertools import count
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from ichscope import __version__
from ichscope.evaluation.evaluate import Evaluation, evaluate_pairing, to_json_text
from ichscope.evaluation.label_metrics import SHOWN
from ichscope.evaluation.selection import EvaluationSet, Selection, TruthSource
from ichscope.reporting.figure_data import figure_tables
from ichscope.reporting.figures.drawing import description
from ichscope.reporting.figures.formatting import in_full, label_name
from ichscope.reporting.figures.theme import config
from ichscope.reporting.in_force import point_in_force
from ichscope.reporting.report_figures import INK_ON_WHITE, drawings
from ichscope.reporting.report_table import ReportTable
from ichscope.reporting.report_tables import all_tables
from ichscope.store import Filter

NOT_FOR_DIAGNOSIS = "Research use only - not for diagnosis"
_SOFTWARE = ("numpy", "scipy", "plotly", "sqlalchemy")
# Nothing may be fetched from anywhere, whatever a library tries.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_STYLE = """
:root { color-scheme: light }
body { font: 15px/1.5 "Source Sans 3", "Segoe UI", system-ui, sans-serif; color: #1a2127; background: #fff;
  max-width: 1200px; margin: 0 auto; padding: 24px }
h1 { font-size: 28px; margin: 0 0 4px } h2 { font-size: 20px; margin: 40px 0 8px }
.use { border-left: 4px solid #5b6770; padding-left: 10px; font-weight: 600 }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: 13px }
th { text-align: left; border-bottom: 1px solid #5b6770; padding: 4px 10px 4px 0; vertical-align: bottom }
td { border-bottom: 1px solid #e1e5e8; padding: 3px 10px 3px 0; vertical-align: top }
td.long { overflow-wrap: anywhere; min-width: 16em } td.number, th.number { text-align: right }
td.number, .interval { white-space: nowrap } td.number, td.estimate { font-variant-numeric: tabular-nums }
.below { font-size: 13px; color: #5b6770 }
.figures { display: grid; gap: 16px; grid-template-columns: minmax(0, 1fr) }
@media (min-width: 900px), print { .figures { grid-template-columns: repeat(2, minmax(0, 1fr)) } }
figure { margin: 0; break-inside: avoid } figcaption { font-weight: 600 } dt { font-weight: 600 } dd { margin: 0 0 4px;
  overflow-wrap: anywhere } a { color: #1f6fa8 } a.download { font-size: 13px; font-weight: 400 }
@media print { a.download { display: none } body { max-width: none } .scroll { overflow: visible }
  table { font-size: 10px } @page { size: landscape } }
"""


@dataclass(frozen=True)
class About:
    """What only the one who asks for a report knows.

    date : as it shall stand there
    by : who made it; "" says nothing
    selection : what was chosen, in words, as "Truth": "Reviews"
    """

    date: str
    by: str = ""
    title: str = "Audit of haemorrhage detection"
    selection: Mapping[str, str] = field(default_factory=dict)


def in_words(selection: Selection, truth: TruthSource) -> dict[str, str]:
    """What was chosen, for people."""
    chosen, usual = selection.filter, asdict(Filter())
    limits = {name: value for name, value in asdict(chosen).items() if name != "by" and value != usual[name]}
    if chosen.label:
        limits["label"] = f"{chosen.label} by {chosen.by}"
    chosen_words = {
        "Truth": truth.name,
        "Readers": f"{selection.readers}, of {', '.join(truth.readers)}" if truth.readers else "one, unnamed",
        "Level": selection.level,
        "Slices to study": selection.rule or "the model's own study probability",
        "Studies": ", ".join(f"{name} {_plain(value)}" for name, value in limits.items()) or "all",
    }
    return chosen_words if selection.level == "study" else chosen_words | {"Slices to study": "not asked for"}


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return " or ".join(map(str, value))
    return value.isoformat(" ", "minutes") if isinstance(value, datetime) else str(value)


class EvaluationReport:
    """All that a report says; made once, given out in three forms.

    moved : thresholds that a user moved on the page Performance, by key of the model's source and label: they are in
        force then
    """

    def __init__(
        self, evaluation_set: EvaluationSet, about: About, moved: Mapping[str, Mapping[str, float]] | None = None
    ) -> None:
        self.evaluation_set, self.about = evaluation_set, about
        names = evaluation_set.names()
        self._moved = {names[key]: dict(of_labels) for key, of_labels in (moved or {}).items()}

    @cached_property
    def evaluation(self) -> Evaluation:
        """All figures, as the page Performance has them."""
        return evaluate_pairing(self.evaluation_set.pairing(), self._header(), SHOWN, self._moved)

    @cached_property
    def tables(self) -> list[ReportTable]:
        """Every table."""
        return [*all_tables(self.evaluation_set, self.evaluation), *figure_tables(self.evaluation_set, self.evaluation)]

    def json(self) -> str:
        """Every figure and every table, with what they were computed from, as JSON."""
        tables = {table.key: table.to_json() for table in self.tables}
        return to_json_text(replace(self.evaluation, header=self.evaluation.header | {"tables": tables}))

    def html(self) -> str:
        """Everything, as one HTML page that needs no network."""
        return "".join(self._page())

    def _header(self) -> dict[str, Any]:
        return {
            "ichscope": __version__,
            "title": self.about.title,
            "date": self.about.date,
            "by": self.about.by,
            "selection": dict(self.about.selection),
            "level": self.evaluation_set.level,
            "rows": len(self.evaluation_set.keys),
            "data_sha256": self.evaluation_set.sha256,
            "software": {"python": platform.python_version(), **{name: version(name) for name in _SOFTWARE}},
            "notes": self.evaluation_set.notes,
            **({"moved_thresholds": self._moved} if self._moved else {}),
        }

    def _page(self) -> Iterator[str]:
        title = escape(self.about.title)
        yield f"<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        yield f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><style>{_STYLE}</style>'
        yield f"<script>{get_plotlyjs()}</script></head><body>"
        yield f"<h1>{title}</h1><p>{escape(self._signed())}</p><p class='use'>{NOT_FOR_DIAGNOSIS}</p>"
        yield f"<h2>Summary</h2><ul>{''.join(f'<li>{escape(line)}</li>' for line in self._in_short())}</ul>"
        yield f"<h2>What was evaluated</h2>{_definitions(self._facts())}"
        if self.evaluation_set.notes:
            notes = "".join(f"<li>{escape(note)}</li>" for note in self.evaluation_set.notes)
            yield f"<h2>Caveats</h2><ul>{notes}</ul>"
        links = {table.key: _download(f"{table.key}.csv", "text/csv", table.csv()) for table in self.tables}
        for table in self.tables:
            link = links[table.key]
            if table.drawn:
                continue
            yield f"<h2>{escape(table.title)} {link}</h2><div class='scroll'>{table.html()}</div>"
        number = count(1)
        for key, name in self.evaluation_set.names().items():
            drawn = drawings(self.evaluation_set, key, self.evaluation.models[name])
            figures_html = "".join(_figure(next(number), caption, figure) for caption, figure in drawn)
            yield f"<h2>{escape(name)}: figures</h2><div class='figures'>{figures_html}</div>"
        behind = ", ".join(f"{escape(table.title)} {links[table.key]}" for table in self.tables if table.drawn)
        yield f"<p>Data behind the figures: {behind}</p>" if behind else ""
        everything = _download("figures.json", "application/json", self.json(), "JSON")
        yield f"<p>All figures and tables: {everything}</p></body></html>\n"

    def _signed(self) -> str:
        return f"{self.about.date}, {self.about.by}" if self.about.by else self.about.date

    def _facts(self) -> dict[str, str]:
        header = self._header()
        software = ", ".join(f"{name} {number}" for name, number in header["software"].items())
        return {
            **self.about.selection,
            "Rows": f"{header['rows']:,}, each a {header['level']}",
            "Thresholds": "; ".join(self._whence()),
            "SHA-256 of the data": header["data_sha256"],
            "Software": f"ICHScope {__version__}, {software}",
        }

    def _whence(self) -> Iterator[str]:
        """Which thresholds the figures of each model stand on."""
        for name, model in self.evaluation.models.items():
            points = [(label, point_in_force(of_label)) for label, of_label in model.labels.items()]
            by_name: dict[str, list[str]] = {}
            for label, point in points:
                by_name.setdefault(point.name if point else "no threshold", []).append(label)
            yield f"{name}: " + ", ".join(
                whence if len(by_name) == 1 else f"{whence} ({', '.join(labels)})" for whence, labels in by_name.items()
            )
        if not self._moved:
            yield "none was moved on the page Performance"

    def _in_short(self) -> Iterator[str]:
        """What each model does with its first label."""
        for name, model in self.evaluation.models.items():
            if not model.labels:
                yield f"{name}: not estimable: no probability for these rows"
                continue
            label, of_label = next(iter(model.labels.items()))
            rows = f"{of_label.positives:,} positive of {of_label.positives + of_label.negatives:,}"
            yield f"{name}, {label_name(label)}: AUC {in_full(of_label.auc)}, {rows}"
            if at := point_in_force(of_label):
                shares = f"sensitivity {in_full(at.metrics.sensitivity)}, specificity {in_full(at.metrics.specificity)}"
                yield f"{name}, {label_name(label)} at {at.name}, {at.metrics.threshold:.4g}: {shares}"


def _definitions(facts: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in facts.items())}</dl>"


def _download(file: str, kind: str, text: str, shown: str = "CSV") -> str:
    content = base64.b64encode(text.encode()).decode()
    return f"<a class='download' download='{file}' href='data:{kind};base64,{content}'>{shown}</a>"


def _figure(number: int, caption: str, figure: go.Figure) -> str:
    figure.update_layout(font_color=INK_ON_WHITE)
    drawn = figure.to_html(
        full_html=False, include_plotlyjs=False, div_id=f"figure{number}", config=config(f"figure{number}")
    )
    text = escape(description(figure))
    return f"<figure role='img' aria-label='{text}'><figcaption>{escape(caption)}</figcaption>{drawn}</figure>"
