"""The three EIP-712 structs of the protocol and their digests."""

from vectors.generate.rules.keccak import keccak256
from vectors.generate.rules.primitives import uint

DOMAIN_TYPE = "EIP712Domain(string name,string version)"
CHECKPOINT = "Checkpoint(bytes32 log,uint32 epoch,uint64 size,bytes32 root,uint64 timestamp)"
ROTATION = "Rotation(bytes32 log,uint32 epoch,bytes32 next)"
BINDING = "Binding(bytes32 log,bytes32 subject,address wallet,uint64 nonce,uint64 deadline)"


def type_hash(struct: str) -> bytes:
    """Return the hash of a type string."""
    return keccak256(struct.encode("ascii"))


DOMAIN_SEPARATOR = keccak256(type_hash(DOMAIN_TYPE) + keccak256(b"nous-ledger") + keccak256(b"1"))


def struct_hash(struct: str, *members: bytes | int) -> bytes:
    """Return the hash of a struct; every member fills 32 bytes, zeros on the left."""
    words = [uint(m, 32) if isinstance(m, int) else m.rjust(32, b"\x00") for m in members]
    return keccak256(type_hash(struct) + b"".join(words))


def digest(hashed: bytes) -> bytes:
    """Return what is signed for a struct hash."""
    return keccak256(b"\x19\x01" + DOMAIN_SEPARATOR + hashed)


def head_digest(log: bytes, epoch: int, count: int, root: bytes, timestamp: int) -> bytes:
    """Return the digest of a head."""
    return digest(struct_hash(CHECKPOINT, log, epoch, count, root, timestamp))


def rotation_digest(log: bytes, epoch: int, next_hash: bytes) -> bytes:
    """Return the digest of a rotation (or, with next_hash zero, of a close)."""
    return digest(struct_hash(ROTATION, log, epoch, next_hash))


def binding_digest(log: bytes, subject: bytes, wallet: bytes, nonce: int, deadline: int) -> bytes:
    """Return the digest of a wallet binding."""
    return digest(struct_hash(BINDING, log, subject, wallet, nonce, deadline))


def address_of(point_bytes: bytes) -> bytes:
    """Return the address of an uncompressed key without its 04 prefix."""
    return keccak256(point_bytes)[12:]
