"""/metrics for Prometheus: what the server does and what is in the store. No label holds an identifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from anyio import to_thread
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from dashboard.gate import asked

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")

_REGISTRY = CollectorRegistry()
ProcessCollector(registry=_REGISTRY)
REQUESTS = Counter("ichscope_requests", "Requests answered", ("method", "status"), registry=_REGISTRY)
REFUSED = Counter("ichscope_refused", "Requests and WebSockets that the gate refused", ("kind",), registry=_REGISTRY)
SOCKETS = Gauge("ichscope_open_pages", "Pages open in browsers", registry=_REGISTRY)


async def metrics(request: Request) -> Response:
    """Give all figures to this computer itself, or to a program with a token."""
    local = asked.from_here(request.scope) and not asked.proxied(request.scope)
    if not (local or request.scope.get("ichscope.program")):
        return PlainTextResponse("This needs a token (Authorization: Bearer ...).\n", 401)
    text = await to_thread.run_sync(generate_latest, _REGISTRY)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


class _Store(Collector):
    """What the store has, counted at each look."""

    def describe(self) -> list[Metric]:
        """Name nothing ahead: that would open the store when the server starts."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the figures; where the store cannot be read, only that."""
        from dashboard.shared_store import store
        from ichscope.store import StoreError
        from ichscope.store.tallies import tallies

        up = GaugeMetricFamily("ichscope_store_up", "Whether the store can be read")
        try:
            now = tallies(store().database)
        except StoreError:
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        yield _gauge("ichscope_studies", "Studies in the store", "status", now.studies)
        yield _gauge("ichscope_items", "Studies of jobs; pending ones wait", "state", now.items)
        count = CounterMetricFamily("ichscope_results", "Results of models", labels=("model", "version", "provider"))
        seconds = CounterMetricFamily(
            "ichscope_result_seconds", "Time they took", labels=("model", "version", "provider")
        )
        for version, (number, taken) in now.results.items():
            count.add_metric(version, number)
            seconds.add_metric(version, taken)
        yield count
        yield seconds


def _gauge(name: str, words: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family


_REGISTRY.register(_Store())
