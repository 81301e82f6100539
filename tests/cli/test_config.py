"""The configuration of a gateway: one file, the environment, options; what is wrong is said."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from nous_ledger.gateway.settings import SETTINGS, format_settings, read_settings
from nous_ledger.protocol.errors import InputError
from tests.architecture.repository import ROOT
from tests.cli.harness import Call

TOKEN = "f3a9c27e51b84d06a17c"
FILE = """
[ledger]
folder = "log"
fail_open = true
retain_bodies_days = 90

[listen]
port = 0
allow_hosts = ["tunnel.example"]

[upstreams]
openai = "https://eu.api.openai.com"
custom-lab = "http://10.0.0.7:8000"

[egress]
proxy = "http://name:pass-word@proxy.example:3128"

[limits]
silence_s = 900
"""


def test_file_environment_and_options_in_that_order() -> None:
    found = read_settings(
        text=FILE,
        folder=Path("/etc/nous"),
        environment={
            "NOUS_LEDGER_LISTEN_PORT": "9000",
            "NOUS_LEDGER_LIMITS_SILENCE_S": "30.5",
            "NOUS_LEDGER_LISTEN_ALLOW_HOSTS": "a.example, b.example",
            "NOUS_LEDGER_LEDGER_FAIL_OPEN": "no",
            "NOUS_LEDGER_UPSTREAMS_CUSTOM_LAB": "http://10.0.0.8",
            "NOUS_LEDGER_DIR": "passed over here",
            "HOME": "/root",
        },
        options={"listen.port": 0, "listen.host": None, "listen.allow_hosts": ()},
        upstreams={"openai": "https://api.openai.com", "anthropic": ""},
    )
    expected = {
        "listen.port": (0, "option"),
        "listen.host": ("127.0.0.1", "default"),
        "listen.allow_hosts": (("a.example", "b.example"), "environment"),
        "limits.silence_s": (30.5, "environment"),
        "limits.connect_s": (10.0, "default"),
        "ledger.folder": (Path("/etc/nous/log"), "file"),
        "ledger.fail_open": (False, "environment"),
        "ledger.retain_bodies_days": (90, "file"),
    }
    assert {name: (found[name], found.sources[name]) for name in expected} == expected
    assert found.upstreams == {
        "openai": "https://api.openai.com",
        "custom-lab": "http://10.0.0.8",
    }
    assert "pass-word" not in repr(found)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[listen]\nprot = 1", "knows no 'listen.prot'", "listen.port"),
        ("[listn]\nport = 1", "knows no 'listn'", "listen"),
        ("port = 1", "knows no 'port'", ""),
        ("listen = 1", "listen in the configuration is a section", ""),
        ('[listen]\nport = "8787"', "listen.port in the configuration is whole number", ""),
        ("[listen]\nport = 70000", "from 0 to 65535", ""),
        ("[listen]\nport = true", "whole number", ""),
        ('[listen]\nallow_hosts = "a"', "list of text", ""),
        ("[listen]\nallow_hosts = [1]", "text", ""),
        ("[ledger]\nfail_open = 1", "true or false", ""),
        ('[ledger]\nfolder = ""', "text that is not empty", ""),
        ('[log]\nformat = "xml"', "text or json", ""),
        ("[limits]\nsilence_s = -1", "seconds from 0", ""),
        ("[limits]\nsilence_s = nan", "seconds from 0", ""),
        ("[upstreams]\nopenai = 1", "text", ""),
        ("[listen", "not TOML", ""),
    ],
)
def test_what_is_wrong_in_a_file(text: str, message: str, hint: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_settings(text=text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("NOUS_LEDGER_LISTEN_PROT", "1", "knows no 'NOUS_LEDGER_LISTEN_PROT'"),
        ("NOUS_LEDGER_LISTEN_PORT", "x", "NOUS_LEDGER_LISTEN_PORT in the configuration is whole"),
        ("NOUS_LEDGER_LEDGER_FAIL_OPEN", "maybe", "true or false"),
        ("NOUS_LEDGER_LOG_FORMAT", "xml", "text or json"),
        ("NOUS_LEDGER_LEDGER_FOLDER", "", "not empty"),
    ],
)
def test_what_is_wrong_in_the_environment(variable: str, value: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read_settings(environment={variable: value})


def test_what_is_shown_is_what_was_set() -> None:
    """Read back it sets the same, but for passwords, which are left out."""
    found = read_settings(text=FILE, folder=Path("/etc"))
    text = format_settings(found)
    assert "pass-word" not in text
    assert 'proxy = "http://***@proxy.example:3128"' in text
    again = read_settings(text=text)
    assert {**again.values, "egress.proxy": ""} == {**found.values, "egress.proxy": ""}
    assert again.upstreams == found.upstreams
    odd = read_settings(options={"listen.host": 'a"b\\c\nd\x1b'})
    assert tomllib.loads(format_settings(odd))["listen"]["host"] == 'a"b\\c\nd\x1b'


def test_check_reads_everything_that_is_named(nous: Call, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    tokens = tmp_path / "tokens"
    tokens.touch(0o600)
    tokens.write_text(f"{TOKEN}\n")
    file.write_text(
        '[listen]\nhost = "0.0.0.0"\nport = 9\n'
        '[tokens]\nclient_file = "tokens"\noperator_file = "tokens"\n'
    )
    check = ("config", "check", "--config", file)
    assert nous(*check).good().out == "good: the gateway would listen on http://0.0.0.0:9\n"
    shown = nous(*check, "--json").good().json
    assert shown == {"good": True, "host": "0.0.0.0", "port": 9, "tls": False}  # noqa: S104 - as asked
    tokens.write_text("changeme-changeme\n")
    nous(*check).failed(2, "anybody would try")
    tokens.unlink()
    nous(*check).failed(2, "does not exist")
    for text, message in (
        ('[listen]\nhost = "0.0.0.0"', "without client and operator tokens"),
        ('[upstreams]\nopnai = "https://x.example"', "no route is called 'opnai'"),
        ('[upstreams]\nopenai = "https://u:hunter2@x.example"', "no credentials"),
        ('[named_upstreams]\nallow = ["0x7f.1"]', "no upstream that callers could name"),
        ('[named_upstreams]\nnetworks = ["10.0.0.0/99"]', "no network"),
        ('[egress]\nproxy = "socks5://p"', "an egress proxy is"),
        ('[egress]\nca_file = "missing.pem"', "no certificates"),
        ('[listen]\ntls_cert = "c.pem"', "go together"),
        ('[witnesses]\npolicy_file = "missing"', "does not exist"),
        ("[listen]\nprot = 1", "did you mean listen.port?"),
    ):
        file.write_text(text)
        found = nous(*check).failed(2)
        assert message in found.err, (text, found.err)
        assert "hunter2" not in found.err
    file.write_bytes(b"\xff")
    nous(*check).failed(2, "not UTF-8")
    nous("config", "check", "--config", tmp_path / "none").failed(2, "does not exist")


def test_a_password_is_kept_from_others(nous: Call, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[egress]\nproxy = "http://name:pass-word@proxy.example"\n')
    file.chmod(0o644)
    nous("config", "check", "--config", file).failed(2, "others than its owner")
    file.chmod(0o600)
    nous("config", "check", "--config", file).good()
    shown = nous("config", "show", "--config", file).good().out
    as_json = nous("config", "show", "--config", file, "--json").good().out
    for text in (shown, as_json):
        assert "proxy.example" in text
        assert "pass-word" not in text
    assert json.loads(as_json)["listen.port"] == 8787


def test_the_document_has_every_setting() -> None:
    text = (ROOT / "docs/gateway.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|([^|]*)\|", text, re.MULTILINE))
    shown = {name: cell.strip().strip("`") for name, cell in rows.items()}
    assert shown == {name: _default(setting.default) for name, setting in SETTINGS.items()}


def _default(value: object) -> str:
    if value in (None, ()):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
