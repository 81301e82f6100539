"""Trust policies, their limits, and quorums."""

from collections.abc import Iterable

import pytest

from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.policy import (
    MAX_POLICY_BYTES,
    Policy,
    PolicyGroup,
    PolicyLog,
    PolicyWitness,
    format_policy,
    parse_policy,
)
from nous_ledger.protocol.quorum import witnessed_time
from nous_ledger.protocol.types import LogId, UnixSeconds
from nous_ledger.protocol.vkey import (
    VerifierKey,
    cosigner_vkey,
    ed25519_vkey,
    format_vkey,
    head_vkey,
    make_vkey,
)
from tests.refusals import code_of, refusal
from tests.unit import small_log

HEAD, TEXT = format_vkey(small_log.HEAD_VKEY), format_vkey(small_log.ED25519_VKEY)
W = [format_vkey(key) for key in small_log.WITNESS_VKEYS]
WITNESS_LINES = "".join(f"witness w{number} {key}\n" for number, key in enumerate(W, 1))


def parse(text: str) -> Policy:
    return parse_policy(text.encode())


def witness_key(number: int) -> VerifierKey:
    return cosigner_vkey("w", Ed25519Key(number.to_bytes(32, "big")).public_key)


def test_a_policy_with_everything() -> None:
    text = (
        "# trusted logs\n"
        "\n"
        f"log {TEXT} https://{small_log.ORIGIN}\n"
        f" \tlog\t \t{HEAD} \t\n"
        f"witness X1 {W[0]}\n"
        f"witness X2 {W[1]} https://witness.example/w2\n"
        "  # indented comment\n"
        f"witness Y1 {W[2]}\n"
        "group X all X1 X2\n"
        "group XY any X Y1\n"
        "\t \n"
        "quorum XY\n"
        f"witness late {W[3]}\n"
    )
    policy = parse(text)
    assert policy == Policy(
        logs=(
            PolicyLog(vkey=small_log.ED25519_VKEY, url=b"https://ledger.example.com/main"),
            PolicyLog(vkey=small_log.HEAD_VKEY),
        ),
        witnesses=(
            PolicyWitness(name=b"X1", vkey=small_log.WITNESS_VKEYS[0]),
            PolicyWitness(
                name=b"X2", vkey=small_log.WITNESS_VKEYS[1], url=b"https://witness.example/w2"
            ),
            PolicyWitness(name=b"Y1", vkey=small_log.WITNESS_VKEYS[2]),
            PolicyWitness(name=b"late", vkey=small_log.WITNESS_VKEYS[3]),
        ),
        groups=(
            PolicyGroup(name=b"X", threshold=2, members=(b"X1", b"X2")),
            PolicyGroup(name=b"XY", threshold=1, members=(b"X", b"Y1")),
        ),
        quorum=b"XY",
    )
    assert parse_policy(format_policy(policy)) == policy
    assert policy.log_keys(small_log.ORIGIN) == (small_log.ED25519_VKEY, small_log.HEAD_VKEY)
    assert policy.log_keys("other") == ()


def test_the_smallest_policy() -> None:
    assert parse("quorum none\n") == Policy(logs=(), witnesses=(), groups=(), quorum=b"none")


def test_export_for_other_tools_leaves_out_head_keys() -> None:
    """Everything else is kept (POL-14)."""
    policy = parse(f"log {HEAD}\nlog {TEXT}\n{WITNESS_LINES}quorum w3\n")
    plain = parse_policy(format_policy(policy, c2sp=True))
    assert [log.vkey for log in plain.logs] == [small_log.ED25519_VKEY]
    assert (plain.witnesses, plain.quorum) == (policy.witnesses, policy.quorum)


def test_names_are_octets() -> None:
    kelvin, letter = "\u212a".encode(), b"K"
    data = b"witness %b %b\nwitness %b %b\nquorum %b\n" % (
        kelvin, W[0].encode(), letter, W[1].encode(), b"\xff",
    )  # fmt: skip
    assert code_of(parse_policy, data) == "policy-format"  # \xff is not defined
    policy = parse_policy(data.replace(b"\xff", kelvin).replace(b"quorum", b"# \xfe\nquorum"))
    assert [witness.name for witness in policy.witnesses] == [kelvin, letter]
    assert parse_policy(format_policy(policy)) == policy


def test_keys_of_logs_may_be_of_kinds_that_are_not_supported() -> None:
    key = make_vkey("old.example", 0x02, b"der")
    assert parse(f"log {format_vkey(key)}\nquorum none\n").logs[0].vkey == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "quorum none",  # no final newline
        "quorum\n",
        "quorum none x\n",
        "quorum none\nquorum none\n",
        "Quorum none\n",
        "quorum w1\n",
        "quorum none # comment\n",
        "quorum none\r\n",
        "quorum none\n\x00\n",
        "quorum none\n# \x7f\n",
        "quorum\x0bnone\n",
        "quorum\u00a0none\n",
        "log\nquorum none\n",
        "log x\nquorum none\n",
        f"log {HEAD} https://a https://b\nquorum none\n",
        f"log {HEAD}\nlog {HEAD}\nquorum none\n",
        f"log {HEAD[:-4]}\nquorum none\n",
        f"log {HEAD.replace('+f8b888ef', '+f8b888ee')}\nquorum none\n",
        "witness w1\nquorum none\n",
        f"witness {W[0]}\nquorum none\n",
        f"witness w1 {W[0]} https://a https://b\nquorum none\n",
        f"witness w1 {W[0]}\nwitness w1 {W[1]}\nquorum none\n",
        f"witness w1 {W[0]}\nwitness w2 {W[0]}\nquorum none\n",
        f"witness none {W[0]}\nquorum none\n",
        f"witness w1 {TEXT}\nquorum none\n",
        f"witness w1 {HEAD}\nquorum none\n",
        f"quorum w1\nwitness w1 {W[0]}\n",  # defined after
    ],
)
def test_other_policies_are_refused(text: str) -> None:
    assert code_of(parse, text) == "policy-format"


@pytest.mark.parametrize(
    "lines",
    [
        "group\n",
        "group g\n",
        "group g any\n",
        "group g w1\n",
        "group g w1 w2\n",
        "group g 0 w1\n",
        "group g 2 w1\n",
        "group g 01 w1\n",
        "group g +1 w1\n",
        "group g -1 w1\n",
        "group g 1.0 w1\n",
        "group g Any w1\n",
        "group g ² w1 w2\n",
        f"group g {'9' * 5000} w1\n",
        "group g any x\n",
        "group g any none\n",
        "group g any g\n",
        "group none any w1\n",
        "group w1 any w2\n",
        "group g any w1 w1\n",
        "group g any w1\ngroup h any w1\n",
        "group g any w1\ngroup h any g\ngroup i any g\n",
        "group g any w1\ngroup g any w2\n",
        "group h any g\ngroup g any w1\n",  # defined after
    ],
)
def test_other_groups_are_refused(lines: str) -> None:
    assert code_of(parse, f"{WITNESS_LINES}{lines}quorum none\n") == "policy-format"


def test_an_error_names_its_line_and_cause() -> None:
    wrong = HEAD.replace("+f8b888ef", "+f8b888ee")
    error = refusal(parse, f"# first\n\nlog {wrong}\nquorum none\n")
    assert error.code == "policy-format"
    assert error.attrs == {"line": 3, "inner": "vkey-key-id"}
    assert error.message.startswith("line 3: ")
    assert refusal(parse, "group\nquorum none\n").attrs == {"line": 1, "inner": "policy-format"}


def test_a_vkey_name_is_utf_8() -> None:
    data = b"log " + HEAD.encode().replace(b"ledger", b"l\xffdger") + b"\nquorum none\n"
    assert code_of(parse_policy, data) == "policy-format"


@pytest.mark.parametrize("first", ["log", "witness"])
def test_one_key_is_not_both_log_and_witness(first: str) -> None:
    key = small_log.WITNESSES[0].public_key
    log = f"log {format_vkey(ed25519_vkey('log.example', key))}\n"
    witness = f"witness w {format_vkey(cosigner_vkey('other.example', key))}\n"
    lines = log + witness if first == "log" else witness + log
    assert code_of(parse, lines + "quorum none\n") == "policy-format"


def test_one_log_key_under_two_names_is_refused() -> None:
    keys = [head_vkey(name, LogId(bytes(32))) for name in ("a", "b")]
    lines = "".join(f"log {format_vkey(key)}\n" for key in keys)
    assert code_of(parse, lines + "quorum none\n") == "policy-format"


def entries(kind: str, number: int) -> Iterable[str]:
    match kind:
        case "log":
            keys = (head_vkey("a", LogId(at.to_bytes(32, "big"))) for at in range(number))
            return (f"log {format_vkey(key)}\n" for key in keys)
        case "witness":
            return (f"witness w{at} {format_vkey(witness_key(at))}\n" for at in range(number))
        case _:
            members = (f"witness w{at} {format_vkey(witness_key(at))}\n" for at in range(64))
            # Groups of groups once the witnesses are used up: each name serves once.
            groups = (
                f"group g{at} any {'w' if at < 64 else 'g'}{at % 64}\n" for at in range(number)
            )
            return (*members, *groups)


@pytest.mark.parametrize("kind", ["log", "witness", "group"])
def test_up_to_64_logs_witnesses_and_groups(kind: str) -> None:
    parse("".join(entries(kind, 64)) + "quorum none\n")
    assert code_of(parse, "".join(entries(kind, 65)) + "quorum none\n") == "policy-format"


def nested(depth: int) -> str:
    groups = (f"group g{at} any {f'g{at - 1}' if at > 1 else 'w1'}\n" for at in range(1, depth + 1))
    return WITNESS_LINES + "".join(groups) + f"quorum g{depth}\n"


def test_groups_nest_16_deep() -> None:
    policy = parse(nested(16))
    assert witnessed_time(policy, {b"w1": UnixSeconds(7)}) == 7
    assert code_of(parse, nested(17)) == "policy-format"


def test_up_to_64_kib() -> None:
    end = b"\nquorum none\n"
    comment = b"#" * (MAX_POLICY_BYTES - len(end))
    assert len(comment + end) == 65_536
    assert parse_policy(comment + end).quorum == b"none"
    assert code_of(parse_policy, b"#" + comment + end) == "policy-format"


@pytest.mark.parametrize(
    ("name", "url", "quorum"),
    [
        (b"", b"", b"none"),
        (b"a b", b"", b"none"),
        (b"a\nb", b"", b"none"),
        (b"w", b"a b", b"none"),
        (b"w", b"", b"x"),
        (b"w", b"", b"none\n#"),
    ],
)
def test_what_no_file_can_say_is_not_formatted(name: bytes, url: bytes, quorum: bytes) -> None:
    witness = PolicyWitness(name=name, vkey=small_log.WITNESS_VKEYS[0], url=url)
    policy = Policy(logs=(), witnesses=(witness,), groups=(), quorum=quorum)
    assert code_of(format_policy, policy) == "policy-format"


def times(**cosigned: int) -> dict[bytes, UnixSeconds]:
    return {name.encode(): UnixSeconds(time) for name, time in cosigned.items()}


@pytest.mark.parametrize(
    ("groups", "cosigned", "witnessed"),
    [
        ("quorum w1\n", {"w1": 5, "w2": 9}, 5),
        ("group g any w1 w2 w3\nquorum g\n", {"w1": 5, "w2": 9}, 9),
        ("group g 2 w1 w2 w3\nquorum g\n", {"w1": 5, "w2": 9, "w3": 7}, 7),
        ("group g all w1 w2 w3\nquorum g\n", {"w1": 5, "w2": 9, "w3": 7}, 5),
        ("group g all w1 w2\ngroup h any w3 w4\ngroup q all g h\nquorum q\n",
         {"w1": 5, "w2": 9, "w4": 3}, 3),
        ("group g all w1 w2\ngroup q any g w3\nquorum q\n", {"w1": 8, "w2": 9, "w3": 3}, 8),
        ("group g all w1 w2\ngroup q any g w3\nquorum q\n", {"w1": 8, "w3": 3}, 3),
        ("group q any w1 w2\nquorum q\n", {"w1": 0}, 0),
    ],
)  # fmt: skip
def test_the_witnessed_time(groups: str, cosigned: dict[str, int], witnessed: int) -> None:
    assert witnessed_time(parse(WITNESS_LINES + groups), times(**cosigned)) == witnessed


@pytest.mark.parametrize(
    ("groups", "cosigned"),
    [
        ("quorum w1\n", {}),
        ("quorum w1\n", {"w2": 9}),
        ("quorum w1\n", {"stranger": 9}),
        ("group g 2 w1 w2 w3\nquorum g\n", {"w1": 5}),
        ("group g all w1 w2\ngroup q any g w3\nquorum q\n", {"w1": 8}),
        ("group g all w1 w2\ngroup q all g w3\nquorum q\n", {"w1": 8, "w3": 8}),
    ],
)
def test_a_quorum_that_is_not_met(groups: str, cosigned: dict[str, int]) -> None:
    error = refusal(witnessed_time, parse(WITNESS_LINES + groups), times(**cosigned))
    assert error.code == "quorum"
    assert error.attrs == {"cosigned": len(cosigned)}


def test_without_a_quorum_there_is_no_witnessed_time() -> None:
    assert witnessed_time(parse(WITNESS_LINES + "quorum none\n"), times(w1=5)) is None


def test_ml_dsa_witnesses_never_count() -> None:
    key = format_vkey(make_vkey("w.example", 0x06, bytes(1312)))
    policy = parse(f"witness pq {key}\nwitness w1 {W[0]}\ngroup g any pq w1\nquorum g\n")
    assert code_of(witnessed_time, policy, times(pq=9)) == "quorum"
    assert witnessed_time(policy, times(pq=9, w1=5)) == 5
