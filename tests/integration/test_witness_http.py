"""How a witness is reached: in bounded time, cut short when told to, over TLS that is checked."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.witness_http import HttpPost
from nous_ledger.ledger.witnesses import Witness as Listed
from nous_ledger.ledger.witnesses import WitnessClient, WitnessState, parse_witnesses
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.vkey import parse_vkey
from tests.integration.ledger_drafts import ORIGIN, Clock
from tests.integration.witness_server import Handler, Witness, WitnessServer

GONE = WitnessState.UNREACHABLE


@pytest.fixture
def server(ledger: Ledger, clock: Clock, tmp_path: Path) -> Iterator[WitnessServer]:
    """A witness of the log."""
    key = parse_vkey(ledger.vkeys()[0]).material
    with WitnessServer(Witness(tmp_path / "w1", "w1.example", ORIGIN, key, clock)) as made:
        yield made


def listed(server: WitnessServer) -> Listed:
    (witness,) = parse_witnesses(server.line.encode())[1]
    return witness


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b""])
def test_a_slow_answer_is_cut_off_in_time(
    ledger: Ledger, server: WitnessServer, clock: Clock, first: bytes
) -> None:
    """WIT-5: one byte now and then does not stretch the time that it has."""
    stop = threading.Event()

    def drip(handler: Handler, body: bytes) -> None:
        handler.wfile.write(first)
        try:
            while not stop.wait(0.02):
                handler.wfile.write(b"x")
        except OSError:
            return

    server.misbehave = drip
    post = HttpPost(server.url, timeout_s=0.2)
    client = WitnessClient(ledger, listed(server), post=post, clock=clock)
    report = client.ask(ledger.head())
    stop.set()
    assert (report.state, report.message) == (GONE, "no answer: not within 0.2 s")


def test_a_request_can_be_cut_short(ledger: Ledger, server: WitnessServer, clock: Clock) -> None:
    asked, stop = threading.Event(), threading.Event()

    def hang(handler: Handler, body: bytes) -> None:
        asked.set()
        stop.wait(10)

    server.misbehave = hang
    client = WitnessClient(ledger, listed(server), clock=clock)
    with ExitStack() as exits:
        exits.callback(stop.set)
        thread = threading.Thread(target=client.ask, args=(ledger.head(),))
        thread.start()
        assert asked.wait(5)
        client.close()
        thread.join(5)
        assert not thread.is_alive()
        assert client.report.state == GONE
        assert client.ask(ledger.head()).state == GONE
        assert server.asked == 1


def test_nobody_there(ledger: Ledger, server: WitnessServer) -> None:
    with WitnessServer(server.witness) as gone:
        url = gone.url
    dead = Listed(name="w1.example", vkey=listed(server).vkey, url=url)
    assert WitnessClient(ledger, dead).ask(ledger.head()).state == GONE


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    paths[0].write_bytes(made.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def test_over_tls_the_witness_has_to_be_who_it_says(
    ledger: Ledger,
    server: WitnessServer,
    clock: Clock,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """WIT-6."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    listener = server._server
    listener.socket = context.wrap_socket(
        listener.socket, server_side=True, do_handshake_on_connect=False
    )
    server.url = server.url.replace("http:", "https:")
    client = WitnessClient(ledger, listed(server), clock=clock)
    report = client.ask(ledger.head())
    assert (report.state, "CERTIFICATE_VERIFY_FAILED" in report.message) == (GONE, True)
    assert server.asked == 0
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    assert client.ask(ledger.head()).state == WitnessState.COSIGNED
    assert len(parse_note(ledger.latest_head()).signatures) == 3


def test_a_handshake_that_hangs_is_cut_off_in_time(ledger: Ledger, server: WitnessServer) -> None:
    """WIT-5."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        witness = Listed(name="w", vkey=listed(server).vkey, url=url)
        client = WitnessClient(ledger, witness, post=HttpPost(url, timeout_s=0.2))
        assert client.ask(ledger.head()).message == "no answer: not within 0.2 s"
