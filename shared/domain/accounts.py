"""Whether an account is the one that is meant: asked before anything is sent, by everyone who speaks to the broker."""

from __future__ import annotations

from typing import Final

PAPER_PREFIX: Final = "PA"
"""Alpaca's paper accounts have numbers that begin so; live ones never do."""


def wrong_account(kind: str, configured: str, known: str, seen: str) -> str:
    """Why the account `seen` at the broker must not be traded on, in one line; empty: it is the right one.

    kind: exchange, paper or live. configured: `broker.account`, empty where it is not set. known: the number that the
    ledger has traded on so far, empty before the first look.
    """
    if kind == "live" and seen.startswith(PAPER_PREFIX):
        return f"broker.kind is live and the keys lead to the paper account {seen}: use live keys, or broker.kind paper"
    if kind == "paper" and not seen.startswith(PAPER_PREFIX):
        return f"broker.kind is paper and the keys lead to the live account {seen}: use paper keys"
    if configured and seen != configured:
        return f"broker.account is {configured} and the keys lead to account {seen}: correct one of the two"
    if known and seen != known:
        return f"this ledger belongs to account {known}, the broker's is {seen}: use another --home for another account"
    return ""
