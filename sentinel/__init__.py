"""Independent verifier of nous-ledger logs; of ours it imports nous_ledger.protocol only."""
