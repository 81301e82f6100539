"""vkeys.json: verifier keys and their key ids."""

from vectors.generate import actors
from vectors.generate.examplelog import log_vkeys, witness_vkey
from vectors.generate.rules import note
from vectors.generate.suite import Group, Json, Suite, unhex

NAME = actors.ORIGIN
LINE_NAME = "example.com/foo"


def check(case: Json) -> Json:
    """Parse a vkey."""
    key = note.parse_vkey(case["vkey"])
    return {
        "name": key.name,
        "keyId": key.key_id.hex(),
        "keyType": key.type,
        "material": key.material.hex(),
    }


def form(case: Json) -> Json:
    """Form a vkey of a name and its material."""
    return {"vkey": note.vkey(case["name"], case["keyType"], unhex(case["material"]))}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "vkeys",
        "verifier-key",
        "11.2 parse_vkey",
        "Parse: the parts of `vkey`; `material` follows the type byte.",
        "Form: the vkey of name, type and material.",
    )
    suite.flag("Valid", "BASIC", "A vkey in order.", "None.", "VKEY-4 VKEY-3")
    effect = "Somebody else's key is trusted under a name, or none is."
    for name, bug, description, ids in (
        ("Form", "PARSING", "Parts that are missing or written otherwise.", "VKEY-1"),
        ("Name", "PARSING", "A name that no note line could have.", "VKEY-1"),
        ("Base64", "MALLEABILITY", "Base64 that is not canonical.", "VKEY-1 CONV-1 CONV-4"),
        ("Material", "PARSING", "Material of another length than its type has.", "VKEY-2"),
        ("KeyId", "FORGERY", "A key id that is not the hash of name, type and material.", "VKEY-3"),
        (
            "Unsupported",
            "AVAILABILITY",
            "A type without use here; it parses as it stands.",
            "POL-7",
        ),
    ):
        suite.flag(name, bug, description, effect, ids)
    forming(suite.group("Form", form))
    group = suite.group("Parse", check)
    for part in (valid, forms, materials, key_ids):
        part(group)
    return suite


def forming(group: Group) -> None:
    """Known answers."""
    head = {"name": NAME, "keyType": 0xFF, "material": (note.HEAD_PREFIX + actors.LOG_ID).hex()}
    group.valid("the known answer of a head key", "Valid", **head)
    known = (
        f"{NAME}+f8b888ef+/25vdXMtbGVkZ2VyLzEgaGVhZAD41kKkUr9urMEcaYdqQWaXa/7L2dBPvRIjsjKlqrBz/g=="
    )
    assert group.tests[0]["vkey"] == known
    for name in (NAME, "witness.example", "bücher.example/1"):
        for kind in (note.ED25519, note.COSIGNATURE):
            inputs = {"name": name, "keyType": kind, "material": actors.ED25519.hex()}
            group.valid(f"{name} of type {kind}", "Valid", **inputs)


def valid(group: Group) -> None:
    """Vkeys that must be accepted."""
    for comment, text in zip(("Ed25519", "head"), log_vkeys(), strict=True):
        group.valid(comment, "Valid", vkey=text)
    group.valid("witness", "Valid", vkey=witness_vkey(1))
    foreign = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    group.valid("a log of the Go checksum database", "Valid", vkey=foreign)
    example = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    group.valid("the example of signed-note", "Valid", vkey=example)
    ml_dsa = note.vkey("witness.example", note.ML_DSA_COSIGNATURE, bytes(1_312))
    group.valid("ML-DSA-44 witness", "Valid", vkey=ml_dsa)
    for kind in (0x02, 0x05, 0xFA):
        text = f"{LINE_NAME}+00000000+{note.b64(bytes([kind]) + bytes(91))}"
        group.valid(f"type {kind:#04x}, its key id as it stands", "Unsupported", vkey=text)
    other = f"{LINE_NAME}+01020304+{note.b64(bytes([0xFF]) + b'other scheme' + bytes(33))}"
    group.valid("type 0xff of another scheme", "Unsupported", vkey=other)


def forms(group: Group) -> None:
    """Parts that are missing or written otherwise."""
    good = log_vkeys()[0]
    name, key_id, encoded = good.split("+", 2)
    for comment, text in {
        "nothing": "",
        "the name alone": name,
        "no material": f"{name}+{key_id}",
        "empty material": f"{name}+{key_id}+",
        "a final line feed": good + "\n",
        "a leading space": " " + good,
        "a trailing space": good + " ",
        "key id in capitals": f"{name}+{key_id.upper()}+{encoded}",
        "key id of 7 digits": f"{name}+{key_id[1:]}+{encoded}",
        "key id of 9 digits": f"{name}+0{key_id}+{encoded}",
        "key id with 0x": f"{name}+0x{key_id[2:]}+{encoded}",
        "key id with a sign": f"{name}+-{key_id[1:]}+{encoded}",
    }.items():
        group.invalid(comment, "vkey-format", "Form", vkey=text)
    for comment, bad in {
        "an empty name": "",
        "a space in the name": "a b",
        "a no-break space in the name": "a\u00a0b",
        "a line feed in the name": "a\nb",
        "NUL in the name": "a\x00b",
    }.items():
        text = note.vkey(bad, note.ED25519, actors.ED25519)
        group.invalid(comment, "vkey-format", "Name", vkey=text)
    group.invalid("a plus in the name", "vkey-format", "Name", vkey="a+" + good)
    for comment, bad in {
        "no padding": log_vkeys()[1].rstrip("="),
        "unused bits set": log_vkeys()[1][:-3] + "h==",
        "the URL alphabet": good.replace(
            "+" + encoded, "+" + encoded.replace("+", "-").replace("/", "_")
        ),
        "a foreign character": f"{name}+{key_id}+!{encoded[1:]}",
        "a line break": f"{name}+{key_id}+{encoded[:20]}\n{encoded[20:]}",
    }.items():
        if bad != good:
            group.invalid(f"base64: {comment}", "vkey-format", "Base64", vkey=bad)


def materials(group: Group) -> None:
    """Material of another length, its key id computed over it."""
    for kind, sizes in ((note.ED25519, (0, 31, 33, 64)), (note.COSIGNATURE, (0, 31, 33))):
        for size in sizes:
            text = note.vkey(NAME, kind, bytes(size))
            group.invalid(f"type {kind} with {size} bytes", "vkey-format", "Material", vkey=text)
    for size in (1_311, 1_313):
        text = note.vkey(NAME, note.ML_DSA_COSIGNATURE, bytes(size))
        group.invalid(f"type 6 with {size} bytes", "vkey-format", "Material", vkey=text)
    for size in (0, 31, 33):
        text = note.vkey(NAME, note.OTHER, note.HEAD_PREFIX + bytes(size))
        group.invalid(
            f"head key with a log id of {size} bytes", "vkey-format", "Material", vkey=text
        )


def key_ids(group: Group) -> None:
    """Key ids that do not belong."""
    for label, good in zip(("Ed25519", "head"), log_vkeys(), strict=True):
        name, key_id, encoded = good.split("+", 2)
        flipped = f"{int(key_id, 16) ^ 1:08x}"
        for comment, text in {
            "a bit of the key id": f"{name}+{flipped}+{encoded}",
            "key id 0": f"{name}+00000000+{encoded}",
            "another name": f"{name}2+{key_id}+{encoded}",
        }.items():
            group.invalid(f"{label}: {comment}", "vkey-key-id", "KeyId", vkey=text)
    ours = note.key_id(NAME, bytes([note.ED25519]) + actors.ED25519).hex()
    witness = f"{NAME}+{ours}+{note.b64(bytes([note.COSIGNATURE]) + actors.ED25519)}"
    group.invalid("the key id of another type", "vkey-key-id", "KeyId", vkey=witness)
    key_id = note.key_id(NAME, bytes([note.OTHER]) + actors.LOG_ID).hex()
    full = note.b64(bytes([note.OTHER]) + note.HEAD_PREFIX + actors.LOG_ID)
    text = f"{NAME}+{key_id}+{full}"
    group.invalid("the key id without the tag", "vkey-key-id", "KeyId", vkey=text)
    ml_dsa = f"witness.example+00000000+{note.b64(bytes([6]) + bytes(1_312))}"
    group.invalid("type 6 with key id 0", "vkey-key-id", "KeyId", vkey=ml_dsa)
