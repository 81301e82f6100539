"""The command `nous-ledger`: one file per command, each parses, calls the core and renders."""
