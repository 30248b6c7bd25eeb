"""Prometheus metrics of one process, on a port or off."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from shared.runtime.settings import MetricsSettings

HANDLED = Counter("ev2_messages_handled_total", "Messages handled", ["service", "type"])
DEAD = Counter("ev2_dead_letters_total", "Messages that could not be handled", ["service"])
SENT = Counter("ev2_messages_sent_total", "Messages published", ["service"])
STEP = Histogram(
    "ev2_step_seconds",
    "Seconds from a batch read to everything published",
    ["service"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)
UNPROTECTED = Gauge("ev2_unprotected_share_seconds", "Shares times seconds without a resting stop, this session")
OVERSOLD = Gauge("ev2_oversold_shares", "Shares sold beyond what was held; anything but 0 is a fault")
UNRESOLVED = Gauge("ev2_unresolved_orders", "Orders whose fate at the broker is unknown")
EQUITY = Gauge("ev2_equity_dollars", "Equity by the ledger's own mark")
POSITIONS = Gauge("ev2_open_positions", "Positions that are held")
ORDERS = Gauge("ev2_open_orders", "Orders that are not over, by kind", ["kind"])
HALT = Gauge("ev2_halt_level", "0 trading, 1 pause, 2 halt, 3 flatten")
STOPPED = Gauge("ev2_stopped", "1 while a daily loss or a drawdown keeps entries out")
FOREIGN = Gauge("ev2_foreign_items", "Shares and orders at the broker that no record explains")
BEAT = Gauge("ev2_beat_timestamp_seconds", "When the process last wrote its beat to the bus, unix time", ["service"])


def serve_metrics(settings: MetricsSettings) -> None:
    """Serve them on the configured port, if there is one. Raises OSError where the port is taken."""
    if settings.port is not None:
        start_http_server(settings.port)
