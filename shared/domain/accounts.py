"""Whether an account is the one that is meant: asked before anything is sent, by everyone who speaks to the broker."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

PAPER_PREFIX: Final = "PA"
"""Alpaca's paper accounts have numbers that begin so; live ones never do."""
ALPACA: Final = "alpaca.markets"
LIVE_HOST: Final = "api.alpaca.markets"


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


def wrong_address(kind: str, url: str) -> str:
    """Why a broker of this kind is not to be spoken to at `url`, in one line; empty: it may be."""
    host = urlsplit(url).hostname or ""
    if not host.endswith(ALPACA):
        return ""  # an exchange of our own, a proxy, a test: the account's number decides
    if kind == "exchange":
        return f"broker.kind is exchange and broker.url leads to {host}: set broker.kind to paper or live"
    if (host == LIVE_HOST) is not (kind == "live"):
        return f"broker.kind is {kind} and broker.url leads to {host}: correct one of the two"
    return ""
