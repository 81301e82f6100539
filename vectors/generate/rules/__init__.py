"""The rules of the protocol, written down once more without regard to speed.

Nothing here imports `nous_ledger`: two readers of the same text are compared.
"""
