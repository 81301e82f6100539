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
drains                reading on after the client hung up
recording             content of calls, for who wants to keep it
answers               the gateway's own answers in the providers' shapes
journal               the ledger for a program that must not wait for a disk
read_api              what readers get; api_table: its routes; api_document: described
log_api, heads        heads, tiles, proofs and receipts by id over HTTP
subject_api           a subject's receipts, statements and bindings; read_rights: who may
nous_token_api        the routes of nous-token; usage_totals: what they add up
usage_index           where receipts stand, what was used each day; usage_follower: in step
app, server, connection    the ASGI application and how it is run
"""
