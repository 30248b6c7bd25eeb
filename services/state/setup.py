"""What a state service is set up with: the trading rules, and the few things that differ between installations."""

from __future__ import annotations

from msgspec import Struct

from shared.contracts.rules import Rules


class Setup(Struct, frozen=True, kw_only=True):
    """salt: of every draw. lease_s: seconds from a granted claim to the request. grace_s: of look-ups before absent.

    conducted: the conductor gives time. broker: exchange, paper or live. account: the broker's number that is
    configured; empty: none.
    """

    rules: Rules
    partitions: int
    salt: str = ""
    lease_s: float = 5.0
    grace_s: float = 60.0
    conducted: bool = False
    broker: str = "exchange"
    account: str = ""

    @property
    def live(self) -> bool:
        """Real money: entries need `arm`."""
        return self.broker == "live"
