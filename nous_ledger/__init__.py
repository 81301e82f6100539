"""Signed receipts for LLM calls, kept in a transparency log that anyone can verify offline.

This package re-exports what a verifier needs. Everything behind these names is
pure: no file, network, clock or environment is touched.

    policy = parse_policy(pathlib.Path("trust.policy").read_bytes())
    report = verify_bundle(pathlib.Path("receipt.tlog-proof").read_bytes(), policy)
    for question, answer in report.answers():
        print(question, answer.outcome, answer.code)
"""

from nous_ledger.protocol.bodies import Body, decode_body, encode_body
from nous_ledger.protocol.bundle import Bundle, format_bundle, parse_bundle
from nous_ledger.protocol.errors import ERROR_CODES, LedgerError, UnavailableError
from nous_ledger.protocol.jsonform import body_from_json, body_to_json
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.policy import Policy, format_policy, parse_policy
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import Record, decode_record, verify_record
from nous_ledger.protocol.report import Answer, Outcome, Report
from nous_ledger.protocol.verify import verify_bundle

__version__ = "0.1.0"

__all__ = [
    "ERROR_CODES",
    "Answer",
    "Body",
    "Bucket",
    "Bundle",
    "LedgerError",
    "Outcome",
    "Policy",
    "Receipt",
    "Record",
    "Report",
    "UnavailableError",
    "body_from_json",
    "body_to_json",
    "decode_body",
    "decode_record",
    "encode_body",
    "format_bundle",
    "format_policy",
    "parse_bundle",
    "parse_policy",
    "verify_bundle",
    "verify_record",
]
