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
LAG = Gauge("ev2_reader_lag_seconds", "Age of the last message handled", ["service"])


def serve_metrics(settings: MetricsSettings) -> None:
    """Serve them on the configured port, if there is one. Raises OSError where the port is taken."""
    if settings.port is not None:
        start_http_server(settings.port)
