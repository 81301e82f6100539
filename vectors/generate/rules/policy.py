"""Trust policies as C2SP tlog-policy describes them, and the evaluation of a quorum."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from vectors.generate.rules.checks import RuleError, reject, require
from vectors.generate.rules.note import (
    COSIGNATURE,
    ED25519,
    ML_DSA_COSIGNATURE,
    VerifierKey,
    parse_vkey,
)

CODE = "policy-format"
MAX_BYTES = 64 * 1024
MAX_ENTRIES = 64
MAX_DEPTH = 16
THRESHOLD = re.compile(rb"[1-9][0-9]*")


@dataclass
class Policy:
    """A parsed policy; names are octets."""

    logs: list[VerifierKey] = field(default_factory=list)
    witnesses: dict[bytes, VerifierKey] = field(default_factory=dict)
    groups: dict[bytes, tuple[int, list[bytes]]] = field(default_factory=dict)
    depths: dict[bytes, int] = field(default_factory=dict)
    members: set[bytes] = field(default_factory=set)
    quorum: bytes = b""

    def define(self, name: bytes) -> None:
        """Refuse a name that is taken."""
        taken = name == b"none" or name in self.witnesses or name in self.groups
        require(not taken, CODE)

    def known(self, name: bytes) -> bool:
        """Say whether a witness or group of this name was defined before."""
        return name in self.witnesses or name in self.groups


def parse(raw: bytes) -> Policy:
    """Return the policy of a file."""
    require(len(raw) <= MAX_BYTES and raw.endswith(b"\n"), CODE)
    require(all(byte in (0x09, 0x0A) or 0x20 <= byte != 0x7F for byte in raw), CODE)
    policy = Policy()
    for row in raw[:-1].split(b"\n"):
        words = row.replace(b"\t", b" ").split(b" ")
        words = [word for word in words if word]
        if words and not words[0].startswith(b"#"):
            LINES.get(words[0], _unknown)(policy, words[1:])
    require(policy.quorum, CODE)
    keys = [_same(key) for key in (*policy.logs, *policy.witnesses.values())]
    require(len(set(keys)) == len(keys), CODE)
    for entries in (policy.logs, policy.witnesses, policy.groups):
        require(len(entries) <= MAX_ENTRIES, CODE)
    return policy


def _same(key: VerifierKey) -> tuple[int, bytes]:
    """Return what two lines with one key have in common."""
    return (ED25519 if key.type == COSIGNATURE else key.type, key.material)


def _vkey(word: bytes) -> VerifierKey:
    """Return a verifier key or refuse the policy."""
    try:
        return parse_vkey(word.decode("utf-8"))
    except (UnicodeDecodeError, RuleError):
        reject(CODE)


def _log(policy: Policy, words: list[bytes]) -> None:
    require(len(words) in (1, 2), CODE)
    policy.logs.append(_vkey(words[0]))


def _witness(policy: Policy, words: list[bytes]) -> None:
    require(len(words) in (2, 3), CODE)
    policy.define(words[0])
    key = _vkey(words[1])
    require(key.type in (COSIGNATURE, ML_DSA_COSIGNATURE), CODE)
    policy.witnesses[words[0]] = key
    policy.depths[words[0]] = 0


def _group(policy: Policy, words: list[bytes]) -> None:
    require(len(words) >= 3, CODE)
    name, rule, *members = words
    policy.define(name)
    for member in members:
        require(policy.known(member) and member not in policy.members, CODE)
        policy.members.add(member)
    counts = {b"all": len(members), b"any": 1}
    require(rule in counts or THRESHOLD.fullmatch(rule), CODE)
    needed = counts.get(rule) or int(rule)
    require(needed <= len(members), CODE)
    policy.groups[name] = (needed, members)
    policy.depths[name] = 1 + max(policy.depths[member] for member in members)
    require(policy.depths[name] <= MAX_DEPTH, CODE)


def _quorum(policy: Policy, words: list[bytes]) -> None:
    require(len(words) == 1 and not policy.quorum, CODE)
    require(words[0] == b"none" or policy.known(words[0]), CODE)
    policy.quorum = words[0]


def _unknown(_policy: Policy, _words: list[bytes]) -> None:
    reject(CODE)


LINES = {b"log": _log, b"witness": _witness, b"group": _group, b"quorum": _quorum}


def met(policy: Policy, name: bytes, present: set[bytes]) -> bool:
    """Say whether the witness or group has witnessed."""
    if name in policy.witnesses:
        return name in present
    needed, members = policy.groups[name]
    return sum(met(policy, member, present) for member in members) >= needed


def witnessed_time(policy: Policy, times: Mapping[bytes, int]) -> int | None:
    """Return the largest time at which the quorum still holds; None if no quorum is asked for."""
    if policy.quorum == b"none":
        return None
    counted = {n: t for n, t in times.items() if policy.witnesses[n].type == COSIGNATURE}
    for time in sorted(set(counted.values()), reverse=True):
        if met(policy, policy.quorum, {name for name, at in counted.items() if at >= time}):
            return time
    return reject("quorum")
