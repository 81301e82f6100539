"""Anchoring: a log's heads in a contract on an EVM chain, which refuses a rewritten history.

chains, rpc        which chain, and its nodes: bounded, several, none believed alone
artifact           the contract: ABI, code, address; contract.json beside it
abi                calls, answers, events and errors of the contract
relayer            the key that pays; never the log's key
fees               what a transaction may cost, on this chain and below it
state              what the contract holds of a log, at a block that servers agree on
steps              what is to be sent next: registration, rotation or anchor
outbox             what was sent, written down before it is sent
sender             from an intent to a signed transaction in the outbox, and to every node
tracking           what becomes of it: SENT, MINED, SAFE, FINAL
anchorer           the newest head to finality: sending again, replacing, being overtaken
trie, capture      evidence of an anchor in one file, checked before it is handed out
calldata           records and statements as calldata of a transaction
errors             what can go wrong

Only `relayer` and `abi` load libraries of the extra `anchor`, and only when they are used.
"""
