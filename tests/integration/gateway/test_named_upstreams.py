"""Upstreams that callers name: what was allowed, at addresses that may be reached, as `custom`."""

import ipaddress
import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from nous_ledger.gateway.addresses import is_public, read_host
from nous_ledger.gateway.app import AppConfig, Gateway
from nous_ledger.gateway.named_upstreams import (
    NamedUpstreams,
    UpstreamRefusedError,
    parse_allowed,
    parse_network,
)
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.gateway.upstream import Egress
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.errors import InputError
from tests.integration.gateway.rig import Answer, RawUpstream, Rig, answer, counts, says, status
from tests.integration.gateway.wire import BODY, COUNTS

PATH = "/custom/v1/chat/completions"
# What a check of host names by their text let pass, and more of that kind.
NEVER = [
    *("127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f000002"),
    *("0x7f.0.0.1", "0177.0.0.1", "017700000001", "0", "0.0.0.0", "localhost", "localhost."),  # noqa: S104
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "198.18.0.1"),
    *("192.0.0.192", "224.0.0.1", "255.255.255.255", "240.0.0.1", "[::1]", "[::]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[fe80::1]", "[fc00::1]"),
    *("[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]"),
    *("[2002:7f00:1::]", "[2001:0:7f00:1::]", "[ff02::1]", "[2001:db8::1]", "[fe80::1%25eth0]"),
]
MISSPELT = [
    *(
        "https://user:pass@allowed.example",
        "https://allowed.example\\@evil.example",
        "",
        "https://",
    ),
    *("https://allowed.example#@evil.example", "ftp://allowed.example", "//allowed.example"),
    *(
        "https://allowed.example?x",
        "https://allowed.example.evil.example",
        "http://allowed.example",
    ),
    *("https://allowed.example:8443", "https://evil.example", "https://allowed.exampl\xe9"),
    *("https://allowed.example.", "https://xallowed.example", "https://allowed.example:x"),
]


class Zone(AbstractResolver):
    """A resolver of this test's own: each name has a list of answers, given in turn."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - the interface's
    ) -> list[ResolveResult]:
        self.asked.append(host)
        given = self.answers[host]
        addresses = given.pop(0) if len(given) > 1 else given[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


@contextmanager
def gateway(
    log: Ledger, zone: Zone, allowed: Sequence[str], networks: Sequence[str] = ()
) -> Iterator[Rig]:
    named = NamedUpstreams(map(parse_allowed, allowed), map(parse_network, networks))
    with ExitStack() as exits:
        config = AppConfig(named=named, resolver=zone)
        yield Rig(log, exits.enter_context(GatewayThread(log, config)).url, exits)


def ask(rig: Rig, upstream: str, path: str = PATH) -> Answer:
    return rig.call(path, {"model": "m"}, headers={"x-nous-upstream": upstream})


def code(got: Answer) -> str:
    return str(json.loads(got.body)["error"]["code"])


def test_what_no_caller_is_ever_led_to() -> None:
    """Even where an operator allowed the very text."""
    for host in NEVER:
        text = host.removeprefix("[").partition("]")[0]
        found = read_host(text)
        if isinstance(found, str):
            assert text == "localhost"  # a name: what it stands for is checked
        else:
            assert found is None or not is_public(found), host
        for scheme, port in (("https", 443), ("http", 80)):
            try:
                allowed = [parse_allowed(f"{scheme}://{host}")]
            except InputError:
                allowed = []
            with pytest.raises(UpstreamRefusedError):
                NamedUpstreams(allowed if text != "localhost" else ()).find(
                    f"{scheme}://{host}:{port}"
                )


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001:800::200e"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_hosts_that_only_look_like_others() -> None:
    """fcbarcelona.com begins like a private IPv6 address; 10.example.com like a private one."""
    for host in ("fcbarcelona.com", "fd-models.example", "10.example.com", "localhost.example.com"):
        upstream = NamedUpstreams([parse_allowed(host)]).find(f"https://{host}/v1")
        assert (upstream.host, upstream.provider) == (host, "custom")


@pytest.mark.parametrize("value", MISSPELT)
def test_only_what_was_allowed_may_be_named(value: str) -> None:
    with pytest.raises(UpstreamRefusedError):
        NamedUpstreams([parse_allowed("allowed.example")]).find(value)


def test_what_may_be_allowed() -> None:
    named = NamedUpstreams(
        map(parse_allowed, ("A.example", "b.example:8443", "http://c.example:8000", "*.d.example"))
    )
    for url in (
        "a.example",
        "https://A.example/prefix",
        "https://b.example:8443",
        "http://c.example:8000",
        "https://x.d.example",
        "https://y.x.d.example",
    ):
        assert named.find(url).provider == "custom"
    for url in ("http://a.example", "https://b.example", "https://d.example", "https://xd.example"):
        with pytest.raises(UpstreamRefusedError):
            named.find(url)


@pytest.mark.parametrize(
    "text", ["", "*", "*.", "a.example/path", "user@a.example", "ftp://a.example", "a b", "0x7f.1"]
)
def test_what_may_not_be_allowed(text: str) -> None:
    with pytest.raises(InputError):
        parse_allowed(text)
    with pytest.raises(InputError):
        parse_network(text or "x")


def test_a_named_upstream_is_metered_as_custom(log: Ledger) -> None:
    with RawUpstream(says(answer(BODY))) as upstream:
        port = upstream.url.rpartition(":")[2]
        zone = Zone({"models.example": [["127.0.0.1"]]})
        allowed = f"http://models.example:{port}"
        with gateway(log, zone, [allowed], ["127.0.0.1/32"]) as rig:
            got = ask(rig, f"{allowed}/prefix")
        assert (got.status, got.body) == (200, BODY)
        (receipt,) = rig.receipts()
        assert (receipt.provider, receipt.upstream) == ("custom", f"models.example:{port}")
        assert counts(receipt) == COUNTS
        (seen,) = upstream.seen
        assert seen.target == "/prefix/v1/chat/completions"
        assert seen.values("host") == [f"models.example:{port}"]
        assert seen.values("x-nous-upstream") == []


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"], ["::1"], ["64:ff9b::7f00:1"], ["0.0.0.0"], []],  # noqa: S104
)
def test_a_name_that_stands_for_a_private_address(log: Ledger, addresses: list[str]) -> None:
    """One such address among public ones is enough: nobody knows which would be taken."""
    zone = Zone({"models.example": [addresses]})
    with gateway(log, zone, ["models.example"]) as rig:
        got = ask(rig, "models.example")
        assert (got.status, code(got)) == (403, "upstream_address_refused")
        receipt = rig.only_receipt()
        assert (status(receipt), receipt.upstream) == ("refused", "models.example")


def test_a_name_that_changes_what_it_stands_for(log: Ledger) -> None:
    """Rebinding: allowed when it was asked for first, this machine after that."""
    with RawUpstream(says(answer(BODY))) as upstream:
        port = upstream.url.rpartition(":")[2]
        allowed = f"http://models.example:{port}"
        # 127.0.0.1 is allowed here as a public address would be; 127.0.0.2 is not.
        zone = Zone({"models.example": [["127.0.0.1"], ["127.0.0.2"]]})
        with gateway(log, zone, [allowed], ["127.0.0.1/32"]) as rig:
            assert ask(rig, allowed).status == 200
            assert zone.asked == ["models.example"]  # once for one connection
            got = ask(rig, allowed)
            assert (got.status, code(got)) == (403, "upstream_address_refused")
        assert len(upstream.seen) == 1


def test_a_redirect_to_another_host_is_not_followed(log: Ledger) -> None:
    away = answer(b"", status=302, headers=("Location: http://127.0.0.1:1/secret",))
    with RawUpstream(says(away)) as upstream:
        allowed = upstream.url
        with gateway(log, Zone({}), [allowed], ["127.0.0.1/32"]) as rig:
            got = ask(rig, allowed)
        assert (got.status, got.headers["location"]) == (302, "http://127.0.0.1:1/secret")
        assert len(upstream.seen) == 1


def test_no_known_provider_is_posed_as(log: Ledger) -> None:
    """The header does nothing on other routes, and what it would do is not done silently."""
    with RawUpstream(says(answer(BODY))) as upstream:
        with gateway(log, Zone({}), [upstream.url], ["127.0.0.1/32"]) as rig:
            for path in ("/openai/v1/chat/completions", "/anthropic/v1/messages"):
                got = ask(rig, upstream.url, path)
                assert got.status == 403
                assert b"x-nous-upstream" in got.body
            assert ask(rig, "https://api.openai.com").status == 403
        assert (upstream.seen, rig.receipts()) == ([], [])
    named = NamedUpstreams([parse_allowed("api.openai.com")])
    assert named.find("api.openai.com").provider == "custom"


def test_nothing_may_be_named_unless_it_was_allowed(log: Ledger) -> None:
    zone = Zone({})
    with gateway(log, zone, []) as rig:
        for host in (*NEVER, "fcbarcelona.com"):
            assert ask(rig, f"http://{host}").status in (403, 429)
        assert rig.call(PATH, {"model": "m"}).status == 404
    assert (zone.asked, rig.receipts()) == ([], [])


def test_callers_name_no_upstream_behind_a_proxy(log: Ledger) -> None:
    config = AppConfig(
        named=NamedUpstreams([parse_allowed("a.example")]), egress=Egress(proxy="http://p.example")
    )
    with pytest.raises(InputError, match="nobody would check"):
        Gateway(log, config)
