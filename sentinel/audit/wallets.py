"""Bindings and redactions in their order.

Spec:
    PROTOCOL.md BIND-1 to BIND-3, RED-1, RED-2, and SENT-10, SENT-11.
"""

from __future__ import annotations

from nous_ledger.protocol.types import LeafIndex
from sentinel.audit.codes import Place
from sentinel.audit.keys import KeyRing
from sentinel.audit.learned import Learned
from sentinel.audit.ports import Used


def fold_redactions(ring: KeyRing, learned: Learned) -> None:
    """Note which bodies are gone with notice."""
    records = () if ring.history is None else ring.history.records
    public = {record.index for record in records}
    for leaf, indices in learned.events("redaction"):
        learned.announced.extend(map(LeafIndex, indices))
        for index in public.intersection(indices):
            text = f"the redaction at leaf {leaf} names the key event at {index}"
            learned.found(Place.REDACTION, "redaction-target", leaf, text)


def fold_bindings(learned: Learned) -> None:
    """Compare bindings with earlier ones of their signers and subjects."""
    bindings = learned.events("binding")
    if not bindings:
        return
    nonces = dict(learned.memory.nonces({binding[4] for binding in bindings}))
    bound = dict(learned.memory.wallets({binding[1] for binding in bindings}))
    for leaf, subject, wallet, nonce, signer in bindings:
        used = nonces.get(signer)
        if used is not None and nonce <= used.nonce:
            text = (
                f"the binding at leaf {leaf} has nonce {nonce}, the one at {used.leaf} {used.nonce}"
            )
            learned.found(Place.BINDING, "nonce-order", leaf, text, used.leaf)
        else:
            nonces[signer] = learned.nonces[signer] = Used(nonce, leaf)
        if not any(wallet) and bound.get(subject) != signer and _sees_all(learned):
            text = f"the unbind at leaf {leaf} is not signed by the wallet that was bound"
            learned.found(Place.BINDING, "not-bound", leaf, text)
        bound[subject] = learned.wallets[subject] = wallet if any(wallet) else None


def _sees_all(learned: Learned) -> bool:
    """Return whether no binding can have escaped the sentinel."""
    totals = learned.totals
    return not totals.unread and totals.withheld + totals.garbled == totals.lost_receipts
