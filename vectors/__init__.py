"""Test vectors of nous-ledger/1 and the independent generator that writes them."""
