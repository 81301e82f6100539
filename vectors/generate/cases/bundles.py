"""bundles.json: whole files against whole policies, four answers and an exit code."""

from vectors.generate.bundle_cases import accuracy, heads, records
from vectors.generate.bundle_cases import format as form
from vectors.generate.bundle_cases.common import PINNED, Adder
from vectors.generate.suite import Suite


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "bundles",
        "bundle",
        "13. Verification",
        "Verify `bundle` (text), or `hex` where it is no text, under the policy of the group.",
        "Where `repeat` is given, its text follows `count` times, then `tail`.",
        "`options`: opening, request, response and forwarded in hex; now and maxAge in seconds;",
        "recount: what counting again found, by kind of bucket. It replaces your own counting, and",
        "its presence is the wish to re-count; a kind that is absent has no method (13.4, step 8).",
        "`answers` is null where there is no report. result is valid iff exitCode is 0;",
        "error is the code that decides the exit code (VER-25).",
    )
    flags(suite)
    add = Adder(suite, PINNED)
    records.add_all(suite, add)
    accuracy.add_all(suite, add)
    form.add_all(add)
    heads.add_all(suite, add)
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag(
        "Valid",
        "BASIC",
        "A bundle in order.",
        "None.",
        "VER-1 VER-10 VER-17 VER-22 VER-23 BNDL-6 HEAD-4 HEAD-5 PROOF-6 COSIG-3 COSIG-5",
    )
    for name, bug, description, effect, ids in ROWS:
        suite.flag(name, bug, description, effect, ids)


FORGED = "Something passes as the log's that the log never said."
ROWS = (
    (
        "Form",
        "PARSING",
        "The lines are not those of a bundle.",
        "Two readings of one file.",
        "BNDL-2 BNDL-4 CONV-1 CONV-2 CONV-4 CONV-5 VER-24",
    ),
    (
        "Extra",
        "PARSING",
        "The extra is not the canonical array.",
        "Two readings of one file.",
        "BNDL-5 BNDL-2",
    ),
    (
        "Note",
        "PARSING",
        "The checkpoint does not parse.",
        "Two readings of one head.",
        "BNDL-2 NOTE-2 NOTE-3 NOTE-4 NOTE-5 HEAD-1",
    ),
    (
        "Limit",
        "DENIAL_OF_SERVICE",
        "More than allowed.",
        "Unbounded work or memory.",
        "BNDL-1 BNDL-2 ENC-14 LIM-1",
    ),
    ("AtLimit", "RANGE", "Exactly as much as allowed.", "An honest file is refused.", "LIM-2"),
    (
        "Newer",
        "AVAILABILITY",
        "A newer version: could not check.",
        "Damage and novelty are conflated.",
        "BNDL-3 VERS-1 REC-3 VER-24",
    ),
    (
        "LogLine",
        "FORGERY",
        "A line of the log fails.",
        FORGED,
        "HEAD-2 HEAD-3 HEAD-5 HEAD-6 VER-5 VER-8 KEY-11 KEY-12",
    ),
    ("Missing", "FORGERY", "A line of the log is missing.", FORGED, "HEAD-4 HEAD-5 VER-5"),
    ("Duplicate", "MALLEABILITY", "A line of the log stands there twice.", FORGED, "HEAD-4 HEAD-5"),
    (
        "Epoch",
        "AUTHORIZATION",
        "The head names or uses another epoch.",
        FORGED,
        "HEAD-7 HEAD-3 VER-5",
    ),
    (
        "Time",
        "FORGERY",
        "Times of head and records do not ascend.",
        "A backdated head or record.",
        "HEAD-8 VER-5 TYPE-2",
    ),
    (
        "UnknownLog",
        "AVAILABILITY",
        "The policy does not list the log.",
        "A log is trusted by its own word.",
        "VER-2",
    ),
    (
        "Unsupported",
        "AVAILABILITY",
        "A listed key cannot be used.",
        "A key that was meant to count does not.",
        "VER-3 VER-25 POL-7",
    ),
    (
        "Outdated",
        "AVAILABILITY",
        "The log changed its Ed25519 key.",
        "A false alarm after an honest rotation.",
        "HEAD-17",
    ),
    (
        "Quorum",
        "EQUIVOCATION",
        "Too few witnesses.",
        "A split view goes unseen.",
        "POL-15 VER-9 VER-25 NOTE-6",
    ),
    (
        "WitnessLine",
        "FORGERY",
        "A line of a listed witness fails.",
        FORGED,
        "COSIG-1 COSIG-2 COSIG-3 HEAD-6 VER-5",
    ),
    (
        "Age",
        "AVAILABILITY",
        "Older than asked for.",
        "An old head hides what came later.",
        "VER-11",
    ),
    (
        "History",
        "AUTHORIZATION",
        "The key history fails.",
        FORGED,
        "VER-4 VER-8 KEY-17 KEY-18 KEY-19 KEY-20 KEY-21 KEY-22 KEY-24 KEY-25 KEY-26 KEY-27",
    ),
    (
        "Record",
        "FORGERY",
        "The record's signature or epoch fails.",
        FORGED,
        "REC-5 REC-6 REC-7 KEY-28 VER-4 VER-14",
    ),
    ("BodyHash", "FORGERY", "The body is not that of the record.", FORGED, "REC-8 VER-4 VER-14"),
    ("KeyRecord", "AUTHORIZATION", "A key event record that is not in the list.", FORGED, "VER-13"),
    (
        "Suspect",
        "AVAILABILITY",
        "A range that was called suspect.",
        "A thief's records pass.",
        "KEY-29 VER-14",
    ),
    (
        "Unpinned",
        "AVAILABILITY",
        "The policy does not pin the log id.",
        "A log is trusted by its own word.",
        "VER-12 VER-14",
    ),
    (
        "Path",
        "FORGERY",
        "The path does not lead to the root.",
        "A record that is not logged passes.",
        "VER-6 PROOF-1 PROOF-2 PROOF-4",
    ),
    (
        "EventPath",
        "FORGERY",
        "The path of a key event fails.",
        "A key that is not logged passes.",
        "VER-6 PROOF-1 PROOF-2 PROOF-4",
    ),
    (
        "RecordIndex",
        "FORGERY",
        "The record names another index.",
        "One record stands for two.",
        "VER-6",
    ),
    (
        "BodyRule",
        "FORGERY",
        "The body breaks a rule.",
        "A claim that version 1 does not allow.",
        "VER-7 BODY-1 BODY-10 BIND-1 BIND-2 BIND-3 LBL-5",
    ),
    (
        "OtherType",
        "AVAILABILITY",
        "Not a receipt.",
        "Counts are read where there are none.",
        "VER-16 REC-9",
    ),
    (
        "Withheld",
        "AVAILABILITY",
        "The body is withheld.",
        "Missing evidence reads as good evidence.",
        "VER-15 BNDL-7",
    ),
    ("Content", "BASIC", "Content that fits its commitments.", "None.", "COMM-4 VER-17"),
    (
        "OtherContent",
        "FORGERY",
        "Content that does not fit.",
        "Other content passes as the call's.",
        "COMM-4 VER-7",
    ),
    (
        "Call",
        "PARSING",
        "A call that makes no sense.",
        "Nothing was checked and it looks checked.",
        "COMM-5 VER-24",
    ),
    (
        "Policy",
        "PARSING",
        "A policy that does not parse.",
        "Nothing is trusted.",
        "VER-24 POL-4 POL-5",
    ),
    (
        "MlDsa",
        "EQUIVOCATION",
        "A listed witness of a kind that version 1 does not verify.",
        "A line nobody checked counts towards a quorum.",
        "COSIG-4",
    ),
    (
        "Extension",
        "BASIC",
        "Extension fields: they change no answer.",
        "A later version's fields would make today's receipts wrong.",
        "ENC-22 ENC-24",
    ),
    (
        "Recount",
        "FORGERY",
        "Labels against what counting again found.",
        "A label passes that its text does not bear out.",
        "VER-17 VER-19 VER-20",
    ),
    (
        "Verdict",
        "FORGERY",
        "Reported counts against their ranges.",
        "A verdict decides where nobody asked.",
        "VER-18 VER-17 VER-23 LBL-7",
    ),
)
