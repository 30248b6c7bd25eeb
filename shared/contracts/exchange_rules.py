"""The exchange's settings: what is configurable, and a switch for everything the broker's documents leave open."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.rules import Fraction, Seconds, Section

Money = Annotated[Decimal, Field(gt=0)]


class ExchangeRules(Section):
    """How the paper exchange behaves. Delays in seconds of its own clock; 0: the broker answers at once."""

    cash: Money = Decimal(100_000)
    multiplier: Annotated[int, Field(ge=1, le=4)] = Field(2, description="buying power per dollar of equity")
    account_number: Annotated[str, Field(pattern=r"^[A-Z0-9]{6,16}$")] = "PA3000000001"

    # matching, docs/strategy.md section 11
    volume_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.10, description="of a bar's volume, at most, for all orders of the symbol"
    )
    random_partials: Fraction = Field(0.10, description="of fills that are cut, seeded, as Alpaca's paper does; 0: off")
    spread: Annotated[float, Field(ge=0, le=0.05)] = Field(0.0, description="fraction of the price, bid to ask")
    buy_stop_collar: bool = Field(True, description="buy stops become limits 4 % (below 50 dollars) or 2.5 % above")

    # time
    acknowledge_delay: Seconds = Field(0, description="from the request to `new`")
    cancel_delay: Seconds = Field(0, description="from the request to `canceled`")
    replace_delay: Seconds = Field(0, description="from the request to `replaced`")
    expiry_delay: Seconds = Field(0, description="after the close until day orders end; 900 is the other reading")
    queue_release: dt.time = Field(dt.time(4, 0), description="New York; orders of the night become `new`")
    gtc_days: Annotated[int, Field(ge=1)] = 90

    # what Alpaca's documents do not say, or say in two ways
    shares_free_at: Literal["patch", "replaced"] = Field("replaced", description="when a smaller sell frees shares")
    leg_qty_replaceable: bool = Field(True, description="may the quantity of an OTO leg be replaced?")
    replace_of_partial: Literal["remaining", "total"] = Field(
        "remaining", description="size of the order that replaces a partly filled one (Alpaca-API#165: total)"
    )
    repeat_cancel_accepted: bool = Field(True, description="cancelling a canceled order answers 204")
    silent_pair_cancel: bool = Field(True, description="no event for the leg that its sibling's fill cancels (#198)")
    announce_pending_new: bool = Field(True, description="an event `pending_new` before `new`")
    wash_trade_check: bool = True
    open_entry_blocks: bool = Field(True, description="an open entry with legs counts as opposite to simple sells")
    wash_trade_status: Literal[403, 422] = 403

    # assets: any well-formed symbol exists and trades, but for these
    untradable: tuple[str, ...] = ()
    not_fractionable: tuple[str, ...] = ()
    only_symbols: tuple[str, ...] = Field((), description="if given, no other symbol exists")
