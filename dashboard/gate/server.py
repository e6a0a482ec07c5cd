"""What app.py serves: the gate around everything, the routes that are no pages, and what a server does as it starts."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

from dashboard import warm_up
from dashboard.api.mount import mount
from dashboard.arrivals import arrivals
from dashboard.gate import half_sent, health, logs, oidc, start
from dashboard.gate.asgi import Gate
from dashboard.gate.incoming import Incoming
from dashboard.gate.prometheus import metrics

_LOG = logging.getLogger(__name__)
_END_S = 5.0


def check() -> None:
    """Pin what no setting may change, and end the program with what to do where it would be open to strangers."""
    start.pin()
    try:
        told = start.problem(start.settings())
        oidc.provider()
    except (start.SettingError, oidc.ConfigError) as error:
        told = str(error)
    if told:
        sys.exit(f"ICHScope does not start. {told}")


def routes() -> list[BaseRoute]:
    """Give the routes that are no pages; those of the sign-in only where there is one, for they load the store."""
    plain: list[BaseRoute] = [
        Route("/healthz", health.alive),
        Route("/readyz", health.ready),
        Route("/metrics", metrics),
        mount(),
    ]
    if not start.sign_in():
        return plain
    from dashboard.gate import sign_in

    return [
        *plain,
        Route(sign_in.SIGN_IN, sign_in.show),
        Route(sign_in.SIGN_IN, sign_in.enter, methods=["POST"]),
        Route(oidc.START, oidc.start),
        Route(oidc.BACK, oidc.back),
        Route(sign_in.ACCOUNT, sign_in.account),
        Route(sign_in.PASSWORD, sign_in.change_password, methods=["POST"]),
        Route(sign_in.OUT, sign_in.leave, methods=["POST"]),
        Route(sign_in.OUT_EVERYWHERE, sign_in.leave_everywhere, methods=["POST"]),
    ]


def middleware() -> list[Middleware]:
    """Give what stands around everything."""
    return [Middleware(Gate, settings=start.settings()), Middleware(Incoming, arrivals=arrivals())]


@asynccontextmanager
async def lifespan(app: object) -> AsyncIterator[None]:
    """Frame the life of the server: logs, time-outs, and all that pages need, loaded ahead."""
    logs.begin()
    arrivals().tidy()
    half_sent.close_late_ones()
    warm_up.begin()
    yield
    arrivals().close()
    await asyncio.to_thread(_write_what_waits)


def _write_what_waits() -> None:
    from dashboard import seen

    if lost := seen.LINES.wait(_END_S):
        _LOG.error("%d lines of the audit trail could not be written and are lost", lost)
