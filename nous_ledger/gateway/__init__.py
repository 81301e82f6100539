"""The HTTP shell: a metering proxy and a read API over one ledger.

providers, identity   which paths are metered, where providers live, whose call it is
request, headers      what a request asks for; the include_usage rule; fields that pass
codings, sse          content codings and event streams, taken apart within bounds
watch, usage          what each wire format says; its usage as disjoint buckets
metering, recount     one call's usage, output and ending; its bounds found again
client, upstream      the two ends of a call
relay, call, drafts   one call from its first byte to its receipt
recording             content of calls, for who wants to keep it
answers               the gateway's own answers in the providers' shapes
journal               the ledger for a program that must not wait for a disk
read_api, heads       receipts, proofs, heads and tiles over HTTP
app, server           the ASGI application and how it is run
"""
