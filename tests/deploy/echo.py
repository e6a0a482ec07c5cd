"""An application that says what it was asked, for the tests of the proxy: python echo.py PORT."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


async def headers(request: Request) -> JSONResponse:
    async for _ in request.stream():
        pass
    return JSONResponse(dict(request.headers))


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    said = await socket.receive_text()
    await socket.send_json({"said": said, "origin": socket.headers["origin"]})
    await socket.close()


if __name__ == "__main__":
    routes = [WebSocketRoute("/_stcore/stream", stream), Route("/{path:path}", headers, methods=["GET", "PUT"])]
    uvicorn.run(Starlette(routes=routes), port=int(sys.argv[1]), proxy_headers=False, log_level="warning")
