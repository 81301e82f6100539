"""The HTTP shell: a metering proxy and a read API over one ledger.

providers, identity   where calls go and under whose name, whose call it is
provider_table, paths providers.toml, checked; which path is which call
request, headers      what a request asks for; the include_usage rule; fields that pass
codings, framing      content codings and streams, taken apart within bounds
sse, jsonlines, jsonarray, eventstream    one framing of streams each
formats, watch*       which reader a wire format has; what its answers say
usage*, reported_cost usage as disjoint buckets; the price that a provider names
metering, recount     one call's usage, output and ending; its bounds found again
client, upstream      the two ends of a call
relay, call, drafts   one call from its first byte to its receipt
recording             content of calls, for who wants to keep it
answers               the gateway's own answers in the providers' shapes
journal               the ledger for a program that must not wait for a disk
read_api, heads       receipts, proofs, heads and tiles over HTTP
app, server           the ASGI application and how it is run
"""
