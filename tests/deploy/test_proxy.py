"""The example for nginx does what it says: TLS, WebSockets, large uploads, headers that nobody can forge."""

import http.client
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support import nginx

NAME = nginx.NAME
MB = 2**20


# In place of the example's, so that they are reached.
FEW = {"rate=100r/s": "rate=1r/m", "burst=2000": "burst=40"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> nginx.Place:
    """Where nginx runs for these tests."""
    return nginx.Place(NAME, tmp_path_factory.mktemp("nginx"), *nginx.free_ports(3))


@pytest.fixture(scope="module")
def proxy(place: nginx.Place) -> Iterator[None]:
    """Nginx with the example, before an application that says what it was asked."""
    echo = [sys.executable, str(Path(__file__).with_name("echo.py")), str(place.app)]
    with nginx.running(place, FEW), subprocess.Popen(echo) as application:
        try:
            nginx.wait(place.app)
            yield
        finally:
            application.terminate()


@pytest.fixture
def tls(place: nginx.Place) -> ssl.SSLContext:
    """Trust in that certificate alone."""
    return ssl.create_default_context(cafile=place.certificate)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes


def ask(
    place: nginx.Place,
    tls: ssl.SSLContext,
    path: str = "/",
    body: bytes | None = None,
    address: str = "127.0.0.1",
    **headers: str,
) -> Answer:
    """One request by the name of the certificate, from an address of this computer."""
    with (
        socket.create_connection(("127.0.0.1", place.https), 60, (address, 0)) as raw,
        closing(http.client.HTTPConnection(NAME)) as connection,
    ):
        connection.sock = tls.wrap_socket(raw, server_hostname=NAME)
        sent = {"Host": NAME} | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET" if body is None else "PUT", path, body=body, headers=sent)
        with connection.getresponse() as answer:
            return Answer(answer.status, answer.headers, answer.read())


def shake_hands(place: nginx.Place, tls: ssl.SSLContext, name: str) -> None:
    with socket.create_connection(("127.0.0.1", place.https), timeout=10) as raw:
        tls.wrap_socket(raw, server_hostname=name).close()


@pytest.mark.usefixtures("proxy")
def test_plain_http_is_sent_to_tls(place: nginx.Place) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", place.http)) as connection:
        connection.request("GET", "/worklist?study=1", headers={"Host": NAME})
        with connection.getresponse() as answer:
            assert (answer.status, answer.headers["Location"]) == (308, f"https://{NAME}/worklist?study=1")


@pytest.mark.usefixtures("proxy")
def test_the_application_learns_who_asks_and_nobody_can_forge_it(place: nginx.Place, tls: ssl.SSLContext) -> None:
    forged = {"X_Forwarded_For": "10.1.2.3", "X_Forwarded_Proto": "http", "Forwarded": "for=10.1.2.3"}
    answer = ask(place, tls, **forged)
    asked = json.loads(answer.body)
    assert asked["host"] == NAME
    assert asked["x-forwarded-for"] == "127.0.0.1"
    assert asked["x-forwarded-proto"] == "https"
    assert "forwarded" not in asked
    assert "Strict-Transport-Security" not in answer.headers, "it is the gate's to say, once"
    assert answer.headers["Server"] == "nginx"


@pytest.mark.usefixtures("proxy")
def test_another_name_gets_no_answer(place: nginx.Place, tls: ssl.SSLContext) -> None:
    tls.check_hostname = False
    with pytest.raises(ssl.SSLError):
        shake_hands(place, tls, "elsewhere.example")


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize(
    ("path", "megabytes", "status"),
    [("/_stcore/upload_file/1", 200, 200), ("/_stcore/upload_file/1", 220, 413), ("/api/studies", 220, 200)],
)
def test_an_upload_of_200_mb_passes_and_more_of_a_program(
    place: nginx.Place, tls: ssl.SSLContext, path: str, megabytes: int, status: int
) -> None:
    try:
        answer = ask(place, tls, path, bytes(megabytes * MB))
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        assert status == 413, "refused while it was being sent"
        return
    assert answer.status == status


@pytest.mark.usefixtures("proxy")
def test_figures_for_monitoring_stay_inside(place: nginx.Place, tls: ssl.SSLContext) -> None:
    assert ask(place, tls, "/metrics").status == 404


@pytest.mark.usefixtures("proxy")
def test_websockets_pass_and_keep_the_origin(place: nginx.Place, tls: ssl.SSLContext) -> None:
    raw = socket.create_connection(("127.0.0.1", place.https), timeout=10)
    with connect(f"wss://{NAME}/_stcore/stream", sock=raw, ssl=tls, origin=f"https://{NAME}") as stream:
        stream.send("hello")
        assert json.loads(stream.recv(timeout=10)) == {"said": "hello", "origin": f"https://{NAME}"}


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(place: nginx.Place, tls: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        tls.minimum_version = tls.maximum_version = version
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        shake_hands(place, tls, NAME)


@pytest.mark.usefixtures("proxy")
def test_whoever_asks_too_often_waits_and_others_do_not(place: nginx.Place, tls: ssl.SSLContext) -> None:
    answers = [ask(place, tls, address="127.0.0.2").status for _ in range(50)]
    assert answers == [200] * 41 + [429] * 9
    assert ask(place, tls, address="127.0.0.3").status == 200
