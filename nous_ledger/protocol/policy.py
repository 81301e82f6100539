"""Trust policies: which logs and witnesses a verifier relies on.

    log ledger.example.com/main+f8b888ef+/25v…
    witness w1 witness.example/w1+2d3c4b5a+BC1f…
    witness w2 witness.example/w2+…
    group both all w1 w2
    quorum both

Names of witnesses and groups are octets, compared as such and never decoded.
A group or quorum refers to names on earlier lines only.

Spec:
    PROTOCOL.md, section "parse_policy" (POL-1 to POL-14); C2SP tlog-policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.vkey import (
    KIND_COSIGNATURE,
    KIND_ED25519,
    KIND_HEAD,
    KIND_MLDSA44,
    VerifierKey,
    format_vkey,
    parse_vkey,
)

MAX_POLICY_BYTES: Final = 64 * 1024
MAX_POLICY_ENTRIES: Final = 64
"""Most logs, witnesses and groups, each."""
MAX_GROUP_DEPTH: Final = 16
"""Deepest nesting; a group of witnesses only has depth 1."""
NO_QUORUM: Final = b"none"

_ALLOWED_OCTETS: Final = bytes([0x09, 0x0A, *range(0x20, 0x7F), *range(0x80, 0x100)])
_WITNESS_KINDS: Final = (KIND_COSIGNATURE, KIND_MLDSA44)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyLog:
    """A `log` line: a key of a log, whose name is the log's origin.

    Attributes:
        vkey: the key; several lines may list keys of one name.
        url: where the log may be reached, as octets; may be empty.
    """

    vkey: VerifierKey
    url: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyWitness:
    """A `witness` line.

    Attributes:
        name: name within the policy, as octets.
        vkey: key of kind 0x04 or 0x06.
        url: where the witness may be reached, as octets; may be empty.
    """

    name: bytes
    vkey: VerifierKey
    url: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyGroup:
    """A `group` line.

    Attributes:
        name: name within the policy, as octets.
        threshold: members that must have witnessed, 1..len(members).
        members: names of witnesses or earlier groups.
    """

    name: bytes
    threshold: int
    members: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A trust policy.

    Attributes:
        logs: keys of logs in file order.
        witnesses: witnesses in file order.
        groups: groups in file order; members come before their groups.
        quorum: name of a witness or group, or `none`.
    """

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[PolicyGroup, ...]
    quorum: bytes

    def log_keys(self, name: str) -> tuple[VerifierKey, ...]:
        """Return the keys listed under a log's name, in file order."""
        return tuple(log.vkey for log in self.logs if log.vkey.name == name)


def parse_policy(data: bytes) -> Policy:
    """Return the policy in a file.

    Spec:
        PROTOCOL.md POL-1 to POL-13.

    Args:
        data: the whole file, at most 64 KiB.

    Raises:
        FormatError: policy-format; `attrs` has the line number, and for a bad
            vkey the inner code.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise _wrong(f"{len(data)} bytes are more than {MAX_POLICY_BYTES}")
    if data.translate(None, _ALLOWED_OCTETS):
        raise _wrong("it has a control character other than tab and newline")
    if not data.endswith(b"\n"):
        raise _wrong("the last line does not end with a newline")
    builder = _Builder()
    for number, line in enumerate(data[:-1].split(b"\n"), 1):
        items = line.split()
        if not items or items[0].startswith(b"#"):
            continue
        try:
            builder.add(items)
        except FormatError as error:
            raise FormatError(
                "policy-format", f"line {number}: {error.message}", line=number, inner=error.code
            ) from error
    return builder.policy()


def format_policy(policy: Policy, *, c2sp: bool = False) -> bytes:
    """Return the file form of a policy.

    Spec:
        PROTOCOL.md POL-14.

    Args:
        policy: what to write.
        c2sp: leave out keys of kind 0xff, which other tools refuse.

    Raises:
        FormatError: policy-format, if no file could say this.
    """
    logs = tuple(log for log in policy.logs if not (c2sp and log.vkey.kind == KIND_HEAD))
    written = Policy(
        logs=logs, witnesses=policy.witnesses, groups=policy.groups, quorum=policy.quorum
    )
    lines = [
        *([b"log", _vkey_octets(log.vkey), log.url] for log in logs),
        *([b"witness", w.name, _vkey_octets(w.vkey), w.url] for w in policy.witnesses),
        *([b"group", g.name, b"%d" % g.threshold, *g.members] for g in policy.groups),
        [b"quorum", policy.quorum],
    ]
    data = b"".join(b" ".join(filter(None, line)) + b"\n" for line in lines)
    if parse_policy(data) != written:
        raise _wrong("a name or URL cannot be written in a policy file")
    return data


class _Builder:
    """Takes one line after the other and refuses what contradicts earlier ones."""

    def __init__(self) -> None:
        self.logs: list[PolicyLog] = []
        self.witnesses: list[PolicyWitness] = []
        self.groups: list[PolicyGroup] = []
        self.quorum: bytes | None = None
        self.depths: dict[bytes, int] = {}  # of every defined name; a witness has 0
        self.members: set[bytes] = set()
        self.keys: set[tuple[int, bytes]] = set()

    def add(self, items: list[bytes]) -> None:
        """Take the items of one line that is neither empty nor a comment."""
        match items:
            case [b"log", vkey, *url] if len(url) <= 1:
                self._add_log(_parse_vkey_octets(vkey), b"".join(url))
            case [b"witness", name, vkey, *url] if len(url) <= 1:
                self._add_witness(name, _parse_vkey_octets(vkey), b"".join(url))
            case [b"group", name, threshold, *members] if members:
                self._add_group(name, threshold, tuple(members))
            case [b"quorum", name]:
                self._set_quorum(name)
            case _:
                raise _wrong("it is no complete log, witness, group or quorum line")

    def policy(self) -> Policy:
        """Return the policy after the last line."""
        if self.quorum is None:
            raise _wrong("it has no quorum line")
        return Policy(
            logs=tuple(self.logs),
            witnesses=tuple(self.witnesses),
            groups=tuple(self.groups),
            quorum=self.quorum,
        )

    def _add_log(self, vkey: VerifierKey, url: bytes) -> None:
        self._claim_key(vkey)
        self.logs.append(PolicyLog(vkey=vkey, url=url))
        _limit(self.logs, "logs")

    def _add_witness(self, name: bytes, vkey: VerifierKey, url: bytes) -> None:
        if vkey.kind not in _WITNESS_KINDS:
            raise _wrong(f"a key of kind {vkey.kind:#04x} cannot be a witness's")
        self._define(name, 0)
        self._claim_key(vkey)
        self.witnesses.append(PolicyWitness(name=name, vkey=vkey, url=url))
        _limit(self.witnesses, "witnesses")

    def _add_group(self, name: bytes, threshold: bytes, members: tuple[bytes, ...]) -> None:
        for member in members:
            if member not in self.depths:
                raise _wrong("a member of the group is not defined on an earlier line")
            if member in self.members:
                raise _wrong("a name is a group member twice")
            self.members.add(member)
        depth = 1 + max(self.depths[member] for member in members)
        if depth > MAX_GROUP_DEPTH:
            raise _wrong(f"groups are nested deeper than {MAX_GROUP_DEPTH}")
        self._define(name, depth)
        needed = _parse_threshold(threshold, len(members))
        self.groups.append(PolicyGroup(name=name, threshold=needed, members=members))
        _limit(self.groups, "groups")

    def _set_quorum(self, name: bytes) -> None:
        if self.quorum is not None:
            raise _wrong("it is a second quorum line")
        if name != NO_QUORUM and name not in self.depths:
            raise _wrong("the quorum's name is not defined on an earlier line")
        self.quorum = name

    def _define(self, name: bytes, depth: int) -> None:
        if name == NO_QUORUM or name in self.depths:
            raise _wrong("the name is `none` or defined before")
        self.depths[name] = depth

    def _claim_key(self, vkey: VerifierKey) -> None:
        # One Ed25519 key is the same key whether it signs heads or cosigns them.
        kind = KIND_ED25519 if vkey.kind == KIND_COSIGNATURE else vkey.kind
        if (kind, vkey.material) in self.keys:
            raise _wrong("the public key is listed before")
        self.keys.add((kind, vkey.material))


def _parse_threshold(text: bytes, members: int) -> int:
    if text == b"any":
        return 1
    if text == b"all":
        return members
    for number in range(1, members + 1):
        if text == b"%d" % number:
            return number
    raise _wrong(f"the threshold is not all, any or a number in 1..{members}")


def _vkey_octets(vkey: VerifierKey) -> bytes:
    return format_vkey(vkey).encode("utf-8")


def _parse_vkey_octets(octets: bytes) -> VerifierKey:
    try:
        return parse_vkey(octets.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _wrong("the name of a vkey is not valid UTF-8") from error


def _limit(entries: list[PolicyLog] | list[PolicyWitness] | list[PolicyGroup], what: str) -> None:
    if len(entries) > MAX_POLICY_ENTRIES:
        raise _wrong(f"more than {MAX_POLICY_ENTRIES} {what}")


def _wrong(reason: str) -> FormatError:
    return FormatError("policy-format", reason)
