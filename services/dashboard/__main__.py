"""The dashboard process: the page, for whoever has the token. Trading does not need it, and never waits for it."""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import Final

import uvicorn
from fastapi import FastAPI
from nicegui import ui

from services.dashboard.page import serve
from services.dashboard.sources import BusWatch, Desk, LedgerWatch, Sources, token_of
from services.dashboard.web import Door, build_app
from shared.runtime.halt import HaltFile
from shared.runtime.logs import configure_logs, logger
from shared.runtime.process import connect, refuse, start
from shared.runtime.settings import Settings

SERVICE: Final = "dashboard"
AGAIN_S: Final = 5.0


def main() -> None:
    settings = start(SERVICE)
    configure_logs(settings.logs, SERVICE)
    stop = threading.Event()
    bus = connect(settings, SERVICE)
    halt = HaltFile(settings.halt_file)
    sources = Sources(
        LedgerWatch(settings.ledger, halt, stop),
        BusWatch(bus, stop),
        Desk(halt, lambda: connect(settings, SERVICE)),
        settings.ledger,
        settings.broker.kind,
    )
    app = build(settings, sources)
    sources.start()
    run(app, settings)
    stop.set()


def build(settings: Settings, sources: Sources) -> FastAPI:
    """The application behind its door. Ends the process, with one line, where no token can be kept."""
    try:
        token = token_of(settings.page.token, settings.data_folder)
    except OSError as fault:
        refuse(SERVICE, f"page.token is not set and none can be kept in {settings.data_folder}: {fault.strerror}")
    door = Door(settings.page, token)
    app = build_app(settings.page, door)
    serve(sources, door.visitor)
    ui.run_with(
        app,
        title="execution",
        dark=None,
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=30.0,
        binding_refresh_interval=None,
    )
    return app


def run(app: FastAPI, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. A port that is taken is waited for: trading must not end with the page."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",
        ws_max_size=1_000_000,
        timeout_graceful_shutdown=1,
    )
    listener = listen(settings)
    host, port = listener.getsockname()[:2]
    logger().info("the page is served", address=f"http://{host}:{port}/")
    uvicorn.Server(config).run(sockets=[listener])


def listen(settings: Settings) -> socket.socket:
    """The socket to serve on, once it is free."""
    page = settings.page
    said = False
    while True:
        try:
            family = socket.AF_INET6 if ":" in page.host else socket.AF_INET
            return socket.create_server((page.host, page.port), family=family, backlog=128)
        except OSError as fault:
            if fault.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
                refuse(SERVICE, f"page.host {page.host}, page.port {page.port}: {fault.strerror}")
            if not said:
                logger().error("the page's port is taken; waiting for it", host=page.host, port=page.port)
            said = True
            time.sleep(AGAIN_S)


if __name__ == "__main__":
    main()
