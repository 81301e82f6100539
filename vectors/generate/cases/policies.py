"""policies.json: parsing of trust policies, and quorums."""

from vectors.generate import actors
from vectors.generate.examplelog import log_vkeys, witness_seed, witness_vkey
from vectors.generate.rules import note, policy
from vectors.generate.rules.primitives import ed25519_public
from vectors.generate.suite import Group, Json, Suite, unhex

LOGS = "".join(f"log {vkey}\n" for vkey in log_vkeys())
W = "".join(f"witness W{n} {witness_vkey(n)}\n" for n in range(1, 7))
NESTED = f"{LOGS}{W}group X 2 W1 W2 W3\ngroup Y any W4 W5\ngroup Z all X Y W6\nquorum Z\n"


def raw_of(case: Json) -> bytes:
    """Return the bytes of a policy."""
    raw = unhex(case["hex"]) if "hex" in case else case["policy"].encode()
    fill = case.get("repeat", {"text": "", "count": 0})
    filled: bytes = raw + fill["text"].encode() * fill["count"] + case.get("tail", "").encode()
    return filled


def check(case: Json) -> Json:
    """Parse a policy and say what it holds."""
    found = policy.parse(raw_of(case))
    return {
        "logs": [key.name for key in found.logs],
        "witnesses": [text(name) for name in found.witnesses],
        "groups": {
            text(name): {"threshold": needed, "members": [text(item) for item in members]}
            for name, (needed, members) in found.groups.items()
        },
        "quorum": text(found.quorum),
    }


def text(name: bytes) -> str:
    """Return a name; octets that are no UTF-8 stand as a backslash, x and two digits."""
    return name.decode("utf-8", "backslashreplace")


def evaluate(case: Json) -> Json:
    """Give the witnessed time."""
    found = policy.parse(case["policy"].encode())
    times = {name.encode(): int(time) for name, time in case["cosigned"].items()}
    time = policy.witnessed_time(found, times)
    return {"witnessedTime": None if time is None else str(time)}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "policies",
        "tlog-policy",
        "12.1 parse_policy",
        "Policy: parse `policy` (or `hex`), then `repeat.count` times `repeat.text`, then `tail`.",
        "In what it holds, an octet of a name that is not UTF-8 stands as \\x and two digits.",
        "Quorum: with a verified cosignature of each witness in `cosigned` at that time, the",
        "largest time at which the quorum still holds; null where the policy asks for none.",
    )
    flags(suite)
    group = suite.group("Policy", check)
    for part in (valid, lines, vkeys, names, groups, quorums, octets, limits):
        part(group)
    evaluations(suite)
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag("Valid", "BASIC", "A policy in order.", "None.", "POL-7 POL-10 LIM-2")
    effect = "A policy is read in another way than its author meant."
    for name, bug, description, ids in (
        ("Lines", "PARSING", "An unknown keyword, or too few or too many items.", "POL-3 POL-4"),
        ("Vkey", "PARSING", "A vkey that does not parse or fit its place.", "POL-5 POL-6"),
        ("Duplicate", "FORGERY", "One key that counts twice.", "POL-12 POL-13"),
        ("Name", "PARSING", "A name that is taken or reserved.", "POL-8"),
        ("Group", "PARSING", "Members or thresholds that cannot be.", "POL-9 POL-10"),
        ("Quorum", "PARSING", "Not exactly one quorum that is defined before.", "POL-11"),
        ("Octets", "PARSING", "Control characters, or no final line feed.", "POL-2 POL-3"),
        ("Limit", "DENIAL_OF_SERVICE", "More than allowed.", "POL-1 LIM-1"),
        ("NotMet", "EQUIVOCATION", "Too few witnesses.", "POL-15 COSIG-4"),
        ("Met", "BASIC", "Enough witnesses, at this time.", "COSIG-5 POL-15"),
    ):
        suite.flag(name, bug, description, effect, ids)


def valid(group: Group) -> None:
    """Policies that must be accepted."""
    group.valid("log and no quorum", "Valid", policy=f"{LOGS}quorum none\n")
    group.valid("no log", "Valid", policy="quorum none\n")
    group.valid("groups around groups", "Valid", policy=NESTED)
    group.valid("one witness as quorum", "Valid", policy=f"{LOGS}{W}quorum W3\n")
    group.valid("URLs", "Valid", policy=f"log {log_vkeys()[0]} https://a.example/\nquorum none\n")
    spaces = f"\n  # comment\n\t\nlog\t {log_vkeys()[0]}  \n#quorum W\n \tquorum \tnone\t\n"
    group.valid("white space, comments and empty lines", "Valid", policy=spaces)
    group.valid("witnesses behind the log", "Valid", policy=f"{W}{LOGS}quorum none\n")
    group.valid("a log of an unsupported kind", "Valid", policy=f"log {ecdsa()}\nquorum none\n")
    ml_dsa_only = f"witness M {ml_dsa('witness.example')}\nquorum M\n"
    group.valid("an ML-DSA witness", "Valid", policy=ml_dsa_only)
    group.valid("names beyond ASCII", "Valid", policy=f"witness Wé {witness_vkey(1)}\nquorum Wé\n")
    latin = f"witness W\xe9 {witness_vkey(1)}\nquorum W\xe9\n".encode("latin-1")
    group.valid("a name that is no UTF-8", "Valid", hex=latin.hex())
    deep = W + "group G1 any W1\n" + "".join(f"group G{n} any G{n - 1}\n" for n in range(2, 17))
    group.valid("16 groups deep", "Valid", policy=f"{deep}quorum G16\n")
    fill = {"text": "#", "count": policy.MAX_BYTES - 13}
    group.valid("65,536 bytes", "Valid", policy="quorum none\n", repeat=fill, tail="\n")
    for threshold in (1, 2, 3):
        rule = f"{W}group G {threshold} W1 W2 W3\nquorum G\n"
        group.valid(f"threshold {threshold} of 3", "Valid", policy=rule)
    seen_at = f"witness W {witness_vkey(1)} https://w.example/\nquorum W\n"
    group.valid("a witness with a URL", "Valid", policy=seen_at)
    group.valid("a name of 0x7e", "Valid", policy=f"witness ~ {witness_vkey(1)}\nquorum ~\n")
    odd = b"witness \x80\xff " + witness_vkey(1).encode() + b"\nquorum \x80\xff\n"
    group.valid("a name of 0x80 and 0xff", "Valid", hex=odd.hex())
    wide = many_witnesses(64) + "".join(f"group G{n} any W{n}\n" for n in range(64))
    group.valid("64 groups", "Valid", policy=f"{wide}quorum G63\n")
    plain = bytes([2]) + actors.ED25519
    other_type = f"log {log_vkeys()[0]}\nlog other.example+00000000+{note.b64(plain)}\n"
    group.valid("one material under two types", "Valid", policy=f"{other_type}quorum none\n")
    group.valid("64 witnesses", "Valid", policy=many_witnesses(64) + "quorum none\n")
    group.valid("64 logs", "Valid", policy=many_logs(64) + "quorum none\n")


def ecdsa() -> str:
    """Return a log vkey of a type without use here."""
    return f"{actors.ORIGIN}+00000000+{note.b64(bytes([2]) + bytes(91))}"


def ml_dsa(name: str) -> str:
    """Return an ML-DSA vkey."""
    return note.vkey(name, note.ML_DSA_COSIGNATURE, bytes(1_312))


def many_logs(count: int) -> str:
    """Return log lines of different head keys."""
    vkeys = (note.head_vkey(f"log{n}.example", bytes(31) + bytes([n])) for n in range(count))
    return "".join(f"log {vkey}\n" for vkey in vkeys)


def many_witnesses(count: int) -> str:
    """Return witness lines of different keys."""
    return "".join(f"witness W{n} {witness_vkey(n)}\n" for n in range(count))


def lines(group: Group) -> None:
    """Keywords and items."""
    vkey = log_vkeys()[0]
    for comment, line in {
        "an unknown keyword": "monitor x",
        "a keyword in capitals": f"LOG {vkey}",
        "log without vkey": "log",
        "log with four items": f"log {vkey} https://a.example/ x",
        "a trailing comment": f"log {vkey} https://a.example/ # main",
        "witness without vkey": "witness W9",
        "witness with five items": f"witness W9 {witness_vkey(9)} https://a.example/ x",
        "group without rule": "group G",
        "group without members": "group G any",
        "a carriage return": f"log {vkey}\r",
    }.items():
        flag = "Octets" if "\r" in line else "Lines"
        group.invalid(comment, "policy-format", flag, policy=f"{line}\nquorum none\n")
    group.invalid("nothing", "policy-format", "Octets", policy="")
    group.invalid("no final line feed", "policy-format", "Octets", policy=f"{LOGS}quorum none")


def vkeys(group: Group) -> None:
    """Vkeys that do not parse or do not fit their place."""
    good = log_vkeys()[0]
    name, _, encoded = good.split("+", 2)
    as_log = {
        "a vkey without parts": "example.com",
        "another key id": f"{name}+00000000+{encoded}",
        "material of 31 bytes": note.vkey(name, note.ED25519, bytes(31)),
        "base64 without padding": log_vkeys()[1].rstrip("="),
    }
    for comment, vkey in as_log.items():
        group.invalid(
            f"log: {comment}", "policy-format", "Vkey", policy=f"log {vkey}\nquorum none\n"
        )
    raw = b"log " + good.replace("main", "m\xe9in").encode("latin-1") + b"\nquorum none\n"
    group.invalid("log: a name that is no UTF-8", "policy-format", "Vkey", hex=raw.hex())
    for comment, vkey in {
        "an Ed25519 note key": good,
        "a head key": log_vkeys()[1],
        "type 2": ecdsa(),
        "another key id": witness_vkey(1).replace("+", "+0", 1)[:-1],
    }.items():
        line = f"witness W {vkey}\nquorum none\n"
        group.invalid(f"witness: {comment}", "policy-format", "Vkey", policy=line)
    public = ed25519_public(witness_seed(1))
    renamed = note.vkey("other.example", note.COSIGNATURE, public)
    as_both = note.vkey("witness1.example", note.ED25519, public)
    for comment, text_of in {
        "one log line twice": f"{LOGS}{LOGS}",
        "one log key under two names": f"log {good}\nlog {note.vkey('b', 1, actors.ED25519)}\n",
        "one log id under two names": f"{LOGS}log {note.head_vkey('b', actors.LOG_ID)}\n",
        "one witness key under two names": f"{W}witness V {renamed}\n",
        "one key as log and witness": f"{W}log {as_both}\n",
        "one key as types 1 and 4 of logs": f"log {as_both}\nlog {renamed}\n",
        "one ML-DSA key under two names": f"witness M {ml_dsa('m')}\nwitness N {ml_dsa('n')}\n",
        "one ML-DSA key as log and witness": f"log {ml_dsa('m')}\nwitness N {ml_dsa('n')}\n",
        "one unsupported key twice": f"log {ecdsa()}\nlog {ecdsa().replace('main', 'mein')}\n",
    }.items():
        policy_text = f"{text_of}quorum none\n"
        group.invalid(comment, "policy-format", "Duplicate", policy=policy_text)


def names(group: Group) -> None:
    """Names of witnesses and groups."""
    for comment, line in {
        "a witness called none": f"witness none {witness_vkey(9)}",
        "a group called none": "group none any W1",
        "two witnesses of one name": f"witness W1 {witness_vkey(9)}",
        "a group named like a witness": "group W1 any W2",
        "two groups of one name": "group G any W1\ngroup G any W2",
    }.items():
        policy_text = f"{W}{line}\nquorum none\n"
        group.invalid(comment, "policy-format", "Name", policy=policy_text)


def groups(group: Group) -> None:
    """Members and thresholds."""
    for comment, line in {
        "an unknown member": "group G any W1 W9",
        "none as member": "group G any none",
        "itself as member": "group G any G",
        "a member that is defined later": "group G any H\ngroup H any W1",
        "a member twice in one group": "group G any W1 W1",
        "a member of two groups": "group G any W1 W2\ngroup H any W2",
        "threshold 0": "group G 0 W1 W2",
        "threshold above the members": "group G 3 W1 W2",
        "threshold with a leading zero": "group G 01 W1 W2",
        "threshold with a sign": "group G +1 W1 W2",
        "threshold in hex": "group G 0x1 W1 W2",
        "threshold beyond ASCII": "group G \uff11 W1 W2",
        "threshold ALL": "group G ALL W1 W2",
        "a huge threshold": f"group G {10**30} W1 W2",
    }.items():
        policy_text = f"{W}{line}\nquorum none\n"
        group.invalid(comment, "policy-format", "Group", policy=policy_text)


def quorums(group: Group) -> None:
    """Quorum lines."""
    for comment, line in {
        "no quorum": "",
        "two quorum lines": "quorum none\nquorum none\n",
        "an empty quorum": "quorum\n",
        "two names": "quorum W1 W2\n",
        "an unknown name": "quorum W9\n",
        "a group that is defined later": "quorum G\ngroup G any W1\n",
        "the key name of a witness": "quorum witness1.example\n",
    }.items():
        group.invalid(comment, "policy-format", "Quorum", policy=f"{W}{line}")


def octets(group: Group) -> None:
    """Bytes that a policy must not have."""
    for byte in (0x00, 0x08, 0x0B, 0x0C, 0x1F, 0x7F):
        raw = b"# " + bytes([byte]) + b"\nquorum none\n"
        group.invalid(f"byte {byte:02x} in a comment", "policy-format", "Octets", hex=raw.hex())


def limits(group: Group) -> None:
    """One more than allowed."""
    fill = {"text": "#", "count": policy.MAX_BYTES - 12}
    group.invalid(
        "65,537 bytes", "policy-format", "Limit", policy="quorum none\n", repeat=fill, tail="\n"
    )
    many = many_witnesses(65) + "quorum none\n"
    group.invalid("65 witnesses", "policy-format", "Limit", policy=many)
    group.invalid("65 logs", "policy-format", "Limit", policy=many_logs(65) + "quorum none\n")
    wide = many_witnesses(64) + f"witness V {witness_vkey(64)}\n"
    wide = wide.split("\n", 1)[1] + "".join(f"group G{n} any W{n}\n" for n in range(1, 64))
    wide += "group G0 any V\ngroup H any G1\nquorum none\n"
    group.invalid("65 groups", "policy-format", "Limit", policy=wide)
    deep = W + "group G1 any W1\n" + "".join(f"group G{n} any G{n - 1}\n" for n in range(2, 18))
    group.invalid("17 groups deep", "policy-format", "Limit", policy=f"{deep}quorum none\n")


def evaluations(suite: Suite) -> None:
    """Quorums met and not met."""
    for comment, policy_text, met, unmet in (
        ("none", f"{LOGS}{W}quorum none\n", [{}, {"W1": 5}], []),
        ("a witness", f"{LOGS}{W}quorum W2\n", [{"W2": 5}, {"W1": 9, "W2": 5}], [{}, {"W1": 9}]),
        (
            "2 of 3",
            f"{LOGS}{W}group G 2 W1 W2 W3\nquorum G\n",
            [{"W1": 5, "W3": 7}, {"W1": 5, "W2": 9, "W3": 7}, {"W1": 5, "W2": 5, "W3": 5}],
            [{"W1": 5}, {"W4": 5, "W5": 6, "W6": 7}, {"W1": 5, "W4": 5}],
        ),
        (
            "nested",
            NESTED,
            [
                {"W1": 10, "W2": 20, "W3": 30, "W4": 40, "W5": 5, "W6": 15},
                {"W2": 20, "W3": 30, "W5": 5, "W6": 50},
            ],
            [
                {"W1": 1, "W2": 1, "W3": 1, "W6": 1},
                {"W1": 1, "W4": 1, "W5": 1, "W6": 1},
                {"W1": 1, "W2": 1, "W3": 1, "W4": 1, "W5": 1},
            ],
        ),
        (
            "ML-DSA never counts",
            f"{W}witness M {ml_dsa('m.example')}\ngroup G 2 W1 W2 M\nquorum G\n",
            [{"W1": 5, "W2": 5}],
            [{"W1": 5, "M": 9}, {"M": 9}],
        ),
    ):
        group = suite.group("Quorum", evaluate, policy=policy_text)
        for times in met:
            group.valid(f"{comment}: {spell(times)}", "Met", cosigned=times)
        for times in unmet:
            group.invalid(f"{comment}: {spell(times)}", "quorum", "NotMet", cosigned=times)


def spell(times: dict[str, int]) -> str:
    """Return times in words."""
    return ", ".join(f"{name} at {time}" for name, time in times.items()) or "nobody"
