"""The one table of streams: who writes, who reads, what travels. Routing, docs, permissions and tests follow it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from shared.contracts import clock, commands, decisions, journal, market, orders, views
from shared.contracts.message import Message


class Stream(Struct, frozen=True, kw_only=True):
    """partitioned: one stream per partition, `bars:0`, `bars:1`, ... keep: entries kept about, oldest dropped first.

    of_one_life: what stands on it is a fold from the session's start, and is said again from there on a new life of
    the bus; so an entry of another life counts for nothing. On the other streams every entry counts, once.
    """

    name: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    carries: tuple[type[Message], ...]
    partitioned: bool = False
    keep: int = 20_000
    of_one_life: bool = False
    about: str = ""


ANY: Final = "*"

STREAMS: Final[tuple[Stream, ...]] = (
    Stream(
        name="daily",
        writers=("market_data",),
        readers=("signals", "state", "exchange", "dashboard"),
        carries=(market.SessionOpened, market.DailyHistory, market.VolumeProfile, market.SessionClosed),
        keep=50_000,
        of_one_life=True,
        about="Sessions, 250 days of daily history, volume profiles; SPY for everybody.",
    ),
    Stream(
        name="candidates",
        writers=("state",),
        readers=("market_data", "signals", "dashboard"),
        carries=(views.CandidateChanged,),
        of_one_life=True,
        about="Symbols that may be bought, and why one no longer may.",
    ),
    Stream(
        name="positions",
        writers=("state",),
        readers=("signals", "market_data", "dashboard"),
        carries=(views.PositionChanged, views.PartitionDecided, views.AccountChanged),
        of_one_life=True,
        about="Positions and account as the ledger has them.",
    ),
    Stream(
        name="bars",
        writers=("market_data",),
        readers=("signals", "state", "exchange", "dashboard"),
        carries=(market.Bars, market.BarRevised, market.SymbolHalted),
        partitioned=True,
        keep=4_000,
        of_one_life=True,
        about="One minute of all symbols of the partition, complete; revisions and halts.",
    ),
    Stream(
        name="intents",
        writers=("signals",),
        readers=("state", "conductor"),
        carries=(decisions.Decided,),
        of_one_life=True,
        about="Everything one partition decided on one minute.",
    ),
    Stream(
        name="claims",
        writers=("executor",),
        readers=("state",),
        carries=(orders.ClaimRequest,),
        about="Executors ask whether they may act now; the answer stands under a key.",
    ),
    Stream(
        name="orders",
        writers=("executor",),
        readers=("state", "executor"),
        carries=(orders.OrderReport, orders.BrokerEvent, orders.BrokerSnapshot, orders.ListenerConnected),
        about="What the broker said.",
    ),
    Stream(
        name="commands",
        writers=("cli", "dashboard"),
        readers=("state",),
        carries=(
            commands.Pause,
            commands.Resume,
            commands.Halt,
            commands.Flatten,
            commands.Arm,
            commands.Adopt,
            commands.Disown,
            commands.Sell,
            commands.Cancel,
            commands.Block,
            commands.Unblock,
            commands.Reload,
            commands.Reconcile,
        ),
        keep=2_000,
        about="What an operator asked for.",
    ),
    Stream(
        name="journal",
        writers=("state",),
        readers=("dashboard", "alerts", "cli"),
        carries=(journal.JournalEntry,),
        about="Every decision state took.",
    ),
    Stream(
        name="alerts",
        writers=(ANY,),
        readers=("alerts", "dashboard", "cli"),
        carries=(journal.Alert,),
        keep=2_000,
        about="What a person should know.",
    ),
    Stream(
        name="dead",
        writers=(ANY,),
        readers=("alerts", "dashboard", "cli"),
        carries=(journal.DeadLetter,),
        keep=2_000,
        about="Messages and bars that could not be handled, with the reason.",
    ),
    Stream(
        name="clock",
        writers=("conductor",),
        readers=(ANY,),
        carries=(clock.Tick,),
        of_one_life=True,
        about="Time in a conducted run (demo, replay).",
    ),
    Stream(
        name="progress",
        writers=("market_data", "exchange", "state"),
        readers=("conductor",),
        carries=(clock.Fed, clock.Matched, clock.Folded, clock.Settled),
        of_one_life=True,
        about="Answers to ticks: positive proof that a phase is over.",
    ),
)

ORDER: Final = {stream.name: place for place, stream in enumerate(STREAMS)}
"""Where several streams have something to read, this is the order in which it is handled."""

MESSAGE_TYPES: Final = {kind.__name__: kind for stream in STREAMS for kind in stream.carries}
_STREAM_OF: Final = {kind: stream for stream in STREAMS for kind in stream.carries}


def stream_for(message: Message) -> str:
    """Name of the stream that carries `message`, with its partition where the stream has partitions.

    Raises KeyError for a type that no stream carries.
    """
    stream = _STREAM_OF[type(message)]
    if stream.partitioned:
        return f"{stream.name}:{message.partition}"  # type: ignore[attr-defined]
    return stream.name


def stream_named(name: str) -> Stream:
    """The table's row of `bars:3` or `journal`. Raises KeyError."""
    return STREAMS[ORDER[name.partition(":")[0]]]


def names(streams: Iterable[str], partitions: Iterable[int]) -> tuple[str, ...]:
    """Concrete stream names in the order of the table: each partitioned one once per partition."""
    wanted, parts = set(streams), sorted(partitions)
    return tuple(
        concrete
        for stream in STREAMS
        if stream.name in wanted
        for concrete in ([f"{stream.name}:{part}" for part in parts] if stream.partitioned else [stream.name])
    )
