"""Receipts from inside another Python program, without a gateway between.

    with Ledger.open("ledger") as ledger, ReceiptWriter(ledger) as writer:
        client = httpx.Client(transport=Transport(writer))

targets             which request is an LLM call, and of which provider
calls               one call: its commitments, its usage, its receipt
writer              writes the receipts of one program's calls
transport           what the hooks of both client libraries have in common
on_httpx, on_httpx2 transports for `httpx` and for `httpx2`; either is loaded by itself
asgi                middleware for programs that proxy LLM APIs
on_litellm          a logger for LiteLLM
litellm_events, litellm_writer    what LiteLLM tells of a call; its receipt, once

Receipts made here say source = embedded: the program whose calls they are has
written them itself.
"""
