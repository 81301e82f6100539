"""Every error that this package raises, with its stable code.

The tree has two main branches. A `LedgerError` below `UnavailableError` means
"could not check": something needed for the answer was missing. Every other one
means "checked, and wrong" (or, for `InputError`, "called wrongly"). The two are
never mixed: an exit code, an alarm or a verdict depends on the difference.

    LedgerError
    ├── InputError          the caller passed something outside its range
    ├── EncodingError       bytes are not canonical
    ├── BodyError           a body breaks a rule of its type
    │   ├── ReceiptError
    │   └── LabelError
    ├── RecordError         the 120 bytes of a record
    ├── SignatureError
    ├── ProofError          inclusion and consistency
    ├── FormatError         notes, vkeys, policies, bundles, JSON
    ├── KeyHistoryError     genesis, rotation, close
    ├── HeadError           signed heads and witnesses
    ├── CommitmentError     request and response against their commitments
    ├── LegacyError         nous-v2 records
    ├── AnchorError         evidence of a head on an EVM chain
    ├── EvidenceError       evidence of what a log did against the rules
    └── UnavailableError    could not check

Spec:
    PROTOCOL.md, appendix "Error codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """What one error code means and what to do about it."""

    family: str
    meaning: str
    hint: str


class LedgerError(Exception):
    """Base of every error of this package.

    Attributes:
        code: stable machine-readable code, one of `ERROR_CODES`.
        hint: what the reader can do next; may be empty.
        attrs: values that explain the failure (both roots, the byte offset, ...).
    """

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with a code of its class."""
        super().__init__(message)
        self.code: str = code
        self.hint: str = hint or default_hint(code)
        self.attrs: dict[str, object] = attrs

    @property
    def message(self) -> str:
        """The sentence that says what was wrong."""
        return str(self.args[0])


class InputError(LedgerError):
    """An argument is outside its documented range; nothing was checked."""


class EncodingError(LedgerError):
    """Bytes are not in the canonical encoding."""


class BodyError(LedgerError):
    """A body breaks a rule of its type."""


class ReceiptError(BodyError):
    """A receipt breaks a rule of receipts."""


class LabelError(BodyError):
    """A bucket's label does not fit its fields or its receipt."""


class RecordError(LedgerError):
    """The 120 bytes of a record, or its body hash, are wrong."""


class SignatureError(LedgerError):
    """A signature is malformed, malleable or made by another key."""


class ProofError(LedgerError):
    """An inclusion or consistency proof does not lead to the signed root."""


class FormatError(LedgerError):
    """A text or container format is not well formed."""


class KeyHistoryError(LedgerError):
    """The key events of a log do not form one valid history."""


class HeadError(LedgerError):
    """A signed head breaks a rule."""


class CommitmentError(LedgerError):
    """A request or response is not the one that the receipt commits to."""


class LegacyError(LedgerError):
    """A nous-v2 record, signature or root is wrong."""


class AnchorError(LedgerError):
    """Evidence that a head stands on an EVM chain does not hold."""


class EvidenceError(LedgerError):
    """Evidence of misbehaviour does not confirm what it says, or is none."""


class UnavailableError(LedgerError):
    """Something needed was missing: could not check, which is not "wrong"."""


_TABLE: Final[tuple[tuple[type[LedgerError], str, str, str], ...]] = (
    (InputError, "input", "an argument is outside its documented range", "pass a value in the documented range"),
    (EncodingError, "truncated", "the bytes end inside an item", "get the complete bytes"),
    (EncodingError, "trailing", "bytes follow the end of the value", "remove what follows the value"),
    (EncodingError, "non-minimal", "a header or integer is not in its shortest form", "encode canonically"),
    (EncodingError, "duplicate-key", "a map has the same key twice", "encode each key once"),
    (EncodingError, "unsorted", "a map key is smaller than the one before", "sort keys ascending"),
    (EncodingError, "forbidden-type", "nil, bool, float, negative, ext, or a map key that is no uint", "use uint, str, bin, array and map only"),
    (EncodingError, "bad-string", "a string is not valid UTF-8 or has a forbidden character", "leave the string out"),
    (EncodingError, "int-range", "an integer is larger than 2^53-1", "keep integers within 0..2^53-1"),
    (EncodingError, "limit", "a size, item, depth or extension limit is exceeded", "keep within the limits"),
    (EncodingError, "unknown-field", "a key of 0..63 is not defined for this map", "a newer version may define it: update the verifier"),
    (BodyError, "missing-field", "a required field is absent", "the record is not a valid body of its type"),
    (BodyError, "wrong-type", "a field has another type than defined", "the record is not a valid body of its type"),
    (BodyError, "empty-value", "a str, bin, array or map is empty where it must not be", "leave the field out instead"),
    (BodyError, "bad-value", "a field is outside its range, length or character set", "the record is not a valid body of its type"),
    (BodyError, "bad-order", "a list is not strictly ascending or not sorted as defined", "the record is not a valid body of its type"),
    (BodyError, "field-conflict", "a field is present or absent against a rule", "the record is not a valid body of its type"),
    (BodyError, "total-mismatch", "provider_total is not the sum of the buckets and no anomaly says so", "the gateway mis-stated the call"),
    (BodyError, "time-order", "a time lies beyond what the record's time allows", "the writer's clock or the record is wrong"),
    (BodyError, "index-order", "an index or count is not below the record's own index", "a record can speak of earlier records only"),
    (LabelError, "label-shape", "the fields of a bucket do not fit its label", "the label must not be relied on"),
    (LabelError, "label-range", "the accepted range of a bucket is not possible", "the label must not be relied on"),
    (LabelError, "exact-not-allowed", "EXACT stands where its conditions do not hold", "the label must not be relied on"),
    (LabelError, "method-name", "the method of an EXACT bucket is not <encoding>/1 or <encoding>/1+split", "the label must not be relied on"),
    (LabelError, "above", "a reported count is above the range of its EXACT label", "one receipt accuses nobody: run the stream audit"),
    (LabelError, "below", "a reported count is below the range of its EXACT label", "one receipt accuses nobody: run the stream audit"),
    (LabelError, "outside", "a reported count is outside the range of its BOUNDED label", "one receipt accuses nobody: run the stream audit"),
    (RecordError, "record-length", "a record is not exactly 120 bytes", "get the complete record"),
    (RecordError, "record-version", "the version byte is 0", "this is not a record"),
    (RecordError, "record-range", "an index or time of a record is larger than 2^53-1", "this is not a valid record"),
    (RecordError, "body-hash", "the body does not hash to the record's body hash", "the body was altered, or belongs to another record"),
    (SignatureError, "malformed", "a signature has the wrong length or a number out of range", "the signature proves nothing"),
    (SignatureError, "high-s", "s is larger than n/2", "the signature was altered or made by a non-conforming signer"),
    (SignatureError, "bad-recovery-id", "the recovery id is not 0 or 1", "the signature was altered or made by a non-conforming signer"),
    (SignatureError, "mismatch", "the signature was not made by the expected key over these bytes", "something that was signed has been altered"),
    (ProofError, "proof-index", "the index is not below the leaf count", "the proof is for another tree"),
    (ProofError, "proof-counts", "the leaf counts allow no proof", "compare a smaller tree with a larger one, from 1 on"),
    (ProofError, "proof-shape", "the number or length of hashes is not what index and count imply", "the proof is for another leaf or tree"),
    (ProofError, "root-mismatch", "the proof leads to another root", "the leaf is not in this tree at this index"),
    (ProofError, "record-index", "the record names another index than the proof", "the record was moved or belongs to another place"),
    (FormatError, "note-format", "the bytes are not a signed note", "get the file again"),
    (FormatError, "checkpoint-format", "the text is not a three-line checkpoint", "get the file again"),
    (FormatError, "vkey-format", "the text is not a verifier key", "compare it with the published vkey"),
    (FormatError, "vkey-key-id", "the key id does not belong to this name and key", "compare it with the published vkey"),
    (FormatError, "policy-format", "the text is not a valid trust policy", "correct the line that is named"),
    (FormatError, "not-a-bundle", "the file is not a receipt bundle", "a bundle is a .tlog-proof file made by `nous-ledger prove`"),
    (FormatError, "json-format", "the JSON is not the lossless form of a body", "use the form that `receipts show --json` prints"),
    (KeyHistoryError, "log-id", "the genesis does not belong to the pinned log id", "this is another log than the one you trust"),
    (KeyHistoryError, "key-event-order", "the key events do not start with one genesis or do not ascend", "the key history was altered"),
    (KeyHistoryError, "epoch", "a record or key event names an epoch that was not in force", "the key history or the record was altered"),
    (KeyHistoryError, "reveal", "a key does not hash to the commitment made before", "the rotation was not made by the log's owner"),
    (KeyHistoryError, "rotation-signature", "the rotation is not signed by the revealed key", "the rotation was not made by the log's owner"),
    (KeyHistoryError, "after-close", "a record or key event follows the close", "the log was closed: nothing may follow"),
    (HeadError, "head-origin", "the checkpoint's origin is not the key name it is signed under", "the head belongs to another log"),
    (HeadError, "missing-kind", "a signature kind that the policy demands is missing", "the head was stripped; get it from the log again"),
    (HeadError, "duplicate-line", "a log signature line stands there twice", "the head was altered"),
    (HeadError, "head-epoch", "the head is signed under another epoch than its leaves imply", "the key history or the head was altered"),
    (HeadError, "head-time", "the head's time is before that of a record it covers", "the head or the record is backdated"),
    (HeadError, "quorum", "too few witnesses of the policy cosigned the head", "get a head with the cosignatures your policy asks for"),
    (HeadError, "rollback", "a newer head has fewer leaves", "the log dropped records: keep both heads as evidence"),
    (HeadError, "fork", "two heads of the log disagree", "the log shows two histories: keep both heads as evidence"),
    (HeadError, "late", "a record was covered later than the merge delay allows", "the log broke its promise: keep record and head"),
    (CommitmentError, "commitment-mismatch", "the content is not the one that the receipt commits to", "check that opening and files belong to this call, byte for byte"),
    (LegacyError, "legacy-format", "the data is not in the form of nous-v2", "fetch the record again"),
    (LegacyError, "legacy-leaf", "the leaf hash is not that of the record", "the record was altered"),
    (LegacyError, "legacy-signature", "the record's signature does not verify", "the record was altered or signed by another key"),
    (LegacyError, "legacy-root", "the records do not lead to this root", "the log was altered, or count and root are of another moment"),
    (LegacyError, "legacy-unsigned", "the record carries no signature", "nothing attributes this record to the gateway"),
    (LegacyError, "legacy-malleated", "the signature is the second form of a known one", "the record is a copy, not a second statement"),
    (LegacyError, "legacy-ambiguous", "another record has the same leaf", "nous-v2 cannot say which of the two was meant"),
    (LegacyError, "legacy-type-confused", "a number of the record is not a safe non-negative integer", "the count cannot be relied on"),
    (AnchorError, "anchor-format", "the bytes are not anchor evidence, or a part of it is not what it stands for", "evidence is an .anchor.json file made by `nous-ledger anchor capture`"),
    (AnchorError, "anchor-rlp", "bytes of the chain are not canonical RLP", "the evidence was altered: capture it again"),
    (AnchorError, "anchor-proof", "a trie proof does not lead from its root to the value", "the evidence was altered: capture it again"),
    (AnchorError, "anchor-contract", "the evidence is of another contract or chain than the trusted one", "compare address, code hash and chain id with those published out of band"),
    (AnchorError, "anchor-event", "the transaction's receipt has no event of this head", "the evidence was altered: capture it again"),
    (AnchorError, "anchor-head", "the contract stores another head than the evidence names", "the evidence was altered, or is of another log"),
    (AnchorError, "anchor-block", "the evidence is of another block than the trusted one", "the block was reorganised away, or the evidence is made up: compare the block hash"),
    (EvidenceError, "evidence-format", "the bytes are not an evidence file of a sentinel", "get the file again from whoever found the fault"),
    (EvidenceError, "evidence-refused", "the evidence does not prove what it says", "it was altered, or the log did not do what it is accused of"),
    (UnavailableError, "anchor-untrusted", "no block hash was given that the evidence can rest on", "give --block-hash from a source that you trust, or --rpc"),
    (UnavailableError, "unknown-log", "the policy does not list this log", "add the log's vkeys to the policy after comparing them out of band"),
    (UnavailableError, "unpinned", "the policy does not pin the log id", "add the log's 0xff vkey to the policy after comparing it out of band"),
    (UnavailableError, "policy-outdated", "the log changed its Ed25519 key", "get the new vkey out of band and update the policy"),
    (UnavailableError, "newer-version", "the file names a newer version; this cannot be told from damage", "update the verifier, or get the file again"),
    (UnavailableError, "withheld", "the body is not in the file", "ask the log or the caller for the body"),
    (UnavailableError, "suspect", "the key in force there was reported as suspect", "look for a witness or an anchor from before the suspicion"),
    (UnavailableError, "undecided", "an earlier failure leaves this question open", "resolve the failure that is reported first"),
    (UnavailableError, "not-recounted", "the counts are claimed by the gateway and were not re-counted here", "give --opening, --response and --recount"),
    (UnavailableError, "no-receipt", "the record is not a receipt", "accuracy is a question about receipts only"),
    (UnavailableError, "unknown-kind", "a key event has a kind that this version does not know", "update the verifier"),
    (UnavailableError, "unknown-type", "the record has a type that this version does not know", "update the verifier"),
    (UnavailableError, "unsupported-key", "the policy lists a key of a kind that this version cannot use", "update the verifier or list a supported key"),
    (UnavailableError, "not-witnessed", "the policy asks for no witnesses: nobody but the log vouches for its view", "list witnesses and a quorum in the policy"),
    (UnavailableError, "too-old", "the head is older than --max-age allows", "get a fresher proof from the log"),
    (UnavailableError, "stale", "a smaller, older head was served", "try again later: a cache may lag"),
    (UnavailableError, "unreachable", "the source could not be read", "check the address and try again"),
)  # fmt: skip

ERROR_CODES: Final[Mapping[str, ErrorInfo]] = MappingProxyType(
    {
        code: ErrorInfo(family=family.__name__, meaning=meaning, hint=hint)
        for family, code, meaning, hint in _TABLE
    }
)
"""Every code, its class, what it means and what to do; PROTOCOL.md prints this table."""


def default_hint(code: str) -> str:
    """Return the hint of a code, or an empty string for an unknown one."""
    info = ERROR_CODES.get(code)
    return info.hint if info else ""
