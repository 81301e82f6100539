"""Generator of the test vectors: a naive second reading of PROTOCOL.md."""
