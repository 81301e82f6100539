"""The protocol, pure: no file, network, clock, randomness or environment is touched here.

types, errors, registries       names, codes and numbers that everything shares
strict, encoding                canonical bytes; kinds, fields, values: how bodies are laid out
hashing, signing, eip712        hashes, signatures, typed digests
record, bodies                  the 120-byte record; bodies: receipt, keyevent, statement
label, jsonform                 labels and verdicts; the lossless JSON form
positions, mmr, proof           the tree, inclusion and consistency; proof_peaks: to peaks
note, vkey, checkpoint, head    signed notes, keys, heads; cosignature, tiles, textform
policy, quorum                  whom a verifier trusts
keyhistory, bundle              how keys follow each other; one receipt with all its proof
logview, accuracy, verify       the four questions and their report
legacy*                         nous-v2 records
"""
