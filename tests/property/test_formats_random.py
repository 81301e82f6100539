"""Values of every text format come back from their text; texts say one thing only."""

from hypothesis import assume, given
from hypothesis import strategies as st

from nous_ledger.protocol.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from nous_ledger.protocol.note import Note, NoteSignature, format_note, parse_note
from nous_ledger.protocol.policy import Policy, format_policy, parse_policy
from nous_ledger.protocol.quorum import witnessed_time
from nous_ledger.protocol.textform import format_base64, parse_base64, parse_decimal
from nous_ledger.protocol.tiles import (
    Tile,
    TileKind,
    decode_bodies,
    encode_bodies,
    format_tile_path,
    parse_tile_path,
)
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafCount, LogId, UnixSeconds
from nous_ledger.protocol.vkey import (
    cosigner_vkey,
    format_vkey,
    head_vkey,
    make_vkey,
    parse_vkey,
)
from tests.refusals import code_of

names = st.text(
    st.characters(min_codepoint=0x21, codec="utf-8", exclude_categories=("Z", "Cc", "Cs"))
    .filter(lambda character: character != "+"),
    min_size=1,
    max_size=20,
)  # fmt: skip
origins = st.from_regex(r"[a-z0-9]([a-z0-9._~/-]{0,20}[a-z0-9])?", fullmatch=True)
signatures = st.builds(
    NoteSignature,
    name=names,
    key_id=st.binary(min_size=4, max_size=4),
    payload=st.binary(min_size=1, max_size=90),
)
texts = st.text(
    st.characters(min_codepoint=0x20, codec="utf-8", exclude_categories=["Cs"]) | st.just("\n"),
    max_size=60,
)


@given(texts, st.lists(signatures, min_size=1, max_size=6))
def test_notes(text: str, lines: list[NoteSignature]) -> None:
    note = Note(text=text + "\n", signatures=tuple(lines))
    assert parse_note(format_note(note)) == note


@given(origins, st.integers(0, MAX_UINT), st.binary(min_size=32, max_size=32))
def test_checkpoints(origin: str, count: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin=origin, leaf_count=LeafCount(count), root=Hash32(root))
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


@given(names, st.integers(0, 255), st.binary(min_size=1, max_size=60))
def test_vkeys(name: str, kind: int, material: bytes) -> None:
    lengths = {0x01: 32, 0x04: 32, 0x06: 1312}
    assume(len(material) == lengths.get(kind, len(material)))
    key = make_vkey(name, kind, material)
    assert parse_vkey(format_vkey(key)) == key


@given(st.binary(max_size=80))
def test_base64(data: bytes) -> None:
    assert parse_base64(format_base64(data)) == data


@given(st.text(st.sampled_from("ABCQZaz09+/=-_ \n"), max_size=12))
def test_base64_has_one_spelling(text: str) -> None:
    data = parse_base64(text)
    assert data is None or format_base64(data) == text


@given(st.integers(0, 2**60))
def test_decimals(number: int) -> None:
    assert parse_decimal(str(number)) == (number if number <= MAX_UINT else None)


@given(st.sampled_from(TileKind), st.integers(0, 63), st.integers(0, MAX_UINT), st.integers(1, 256))
def test_tile_paths(kind: TileKind, level: int, index: int, width: int) -> None:
    tile = Tile(kind=kind, level=level if kind == TileKind.HASHES else 0, index=index, width=width)
    assert parse_tile_path(format_tile_path(tile)) == tile


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_bodies(bodies: list[bytes]) -> None:
    assert decode_bodies(encode_bodies(bodies), len(bodies)) == tuple(bodies)


WITNESSES = 6


@st.composite
def policies(draw: st.DrawFn) -> tuple[str, Policy]:
    """Return a policy over six witnesses with random groups, and its text."""
    lines = [f"log {format_vkey(head_vkey('log.example', LogId(bytes(32))))}"]
    free = [f"w{number}" for number in range(WITNESSES)]
    for number, name in enumerate(free):
        key = cosigner_vkey(f"witness.example/{name}", bytes([number + 1]) * 32)
        lines.append(f"witness {name}\t{format_vkey(key)}")
    for number in range(draw(st.integers(0, 4))):
        members = draw(st.lists(st.sampled_from(free), min_size=1, unique=True))
        threshold = draw(st.sampled_from(["any", "all"]) | st.integers(1, len(members)))
        lines.append(f"group g{number} {threshold} {' '.join(members)}")
        free = [name for name in free if name not in members] + [f"g{number}"]
    quorum = draw(st.sampled_from(free))
    text = "\n# comment\n".join([*lines, f"quorum {quorum}"]) + "\n"
    return text, parse_policy(text.encode())


def met(policy: Policy, name: bytes, witnessed: set[bytes]) -> bool:
    """The definition of the C2SP specification, by recursion."""
    for group in policy.groups:
        if group.name == name:
            return sum(met(policy, m, witnessed) for m in group.members) >= group.threshold
    return name in witnessed


@given(
    policies(),
    st.dictionaries(st.integers(0, WITNESSES - 1), st.integers(1, 9), max_size=WITNESSES),
)
def test_the_witnessed_time_is_the_largest_that_meets_the_quorum(
    given_policy: tuple[str, Policy], seconds: dict[int, int]
) -> None:
    _, policy = given_policy
    cosigned = {b"w%d" % number: UnixSeconds(time) for number, time in seconds.items()}
    times = [
        at
        for at in range(10)
        if met(policy, policy.quorum, {name for name, time in cosigned.items() if time >= at})
    ]
    if times:
        assert witnessed_time(policy, cosigned) == max(times)
    else:
        assert code_of(witnessed_time, policy, cosigned) == "quorum"


@given(policies())
def test_policies(given_policy: tuple[str, Policy]) -> None:
    text, policy = given_policy
    assert parse_policy(format_policy(policy)) == policy
    assert parse_policy(text.replace("\n", " \t\n").encode()) == policy
