"""Signed receipts for LLM calls, kept in a transparency log that anyone can verify offline."""

__version__ = "0.1.0"
