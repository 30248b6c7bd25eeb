"""Makes the pages that are tables of the code: `python -m docs.generate`. A test says when they are behind.

docs/streams.md        from shared/contracts/streams.py and the messages' own docstrings
docs/permissions.md    from shared/contracts/streams.py, keys.py and shared/runtime/permissions.py
docs/configuration.md  from the settings models
docs/imports.md        from tests/architecture.py
docs/order-life.md     from shared/domain/order_life.py
"""

from __future__ import annotations

import datetime as dt
import inspect
import types
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from shared.contracts.keys import KEYS, OWN
from shared.contracts.streams import ANY, STREAMS
from shared.contracts.vocabulary import Status
from shared.domain.order_life import BROKER_EVENTS, LIVE, ORDER_LIFE, RANK, Event
from shared.runtime.permissions import SERVICES, may_read, may_write
from shared.runtime.settings import OUTSIDE, AlpacaFeed, RecordedFeed, Settings, SyntheticFeed
from tests import architecture
from tests.conformance.all_cases import CASES

FOLDER: Final = Path(__file__).parent
MADE: Final = "<!-- Made by `python -m docs.generate` from {}; change that, then run it again. -->"
LIVE_SET: Final = frozenset(LIVE)
FEEDS: Final[Mapping[str, type[BaseModel]]] = {
    "recorded": RecordedFeed,
    "synthetic": SyntheticFeed,
    "alpaca": AlpacaFeed,
}
VARIABLES: Final = {
    "EV2_HOME": "the home folder: configuration and `data/`; default: the current folder",
    "EV2_CONFIG": "the configuration file, if not `execution.toml` in the home folder",
    "EV2_REDIS_URL": "a Redis-compatible server of version 7 or later to use; none is started then",
    "EV2_INSTANCE": "number of this process among those of its kind, for its health's name; set by the supervisor",
    "EV2_CRASH_AT": "for tests alone: where the process kills itself (shared/runtime/crash.py)",
    "EV2_SWITCHES": "for tests alone: a folder whose files switch faults on (shared/runtime/crash.py)",
    "EV2_PAGE_TOKEN": "the dashboard's log-in token",
}
ALPACAS_OWN: Final = {
    "APCA_API_KEY_ID, APCA_API_SECRET_KEY": "Alpaca's own names; serve as `broker.key`, `feed.key` and their secrets"
    " where those are not set and Alpaca is asked for",
}

ABOUT_STREAMS: Final = """\
Every entry has the flat fields `type`, `v`, `id`, `at` and `cause` and the whole message as JSON in `data`. Names get
the prefix `bus.prefix` (`ev2:`). Where several streams have something to read, a reader takes them in the order of this
table. A stream named `bars:N` exists once per partition. Each is cut at about the number of entries that it keeps,
oldest first. `*` stands for every process. What stands on a stream *of one life* is said again from the session's start
when the bus is a new one (wiped, or its server restarted): its entries bear the number of their life in a field `life`,
and readers leave out those of another."""
ABOUT_PERMISSIONS: Final = """\
Each service signs in to the server as a user of its own, `ev2-state` and so on (`bus.prefix`, then the service). The
server refuses whatever does not stand here; shared/runtime/permissions.py makes its ACL file of the same tables, and
tests/unit/runtime/test_permissions.py tries everything else. Appending is `XADD` alone: nobody can shorten, overwrite
or remove a stream, except that state drops streams of another life of the bus (`UNLINK`), that cli and dashboard take
back a command that nobody answered (`XDEL` on `commands`), and that cli empties a bus that is to be used anew (`DEL`).
Everybody may also `PING`, `INFO` and `SCAN`."""
ABOUT_CONFIGURATION: Final = """\
One TOML file, `execution.toml` in the home folder, and the environment over it. `[entry] max_drift = 0.02` in the file
is `EV2_ENTRY__MAX_DRIFT=0.02` in the environment; lists are JSON there. A process reads them once, at its start. An
unknown key or a value outside its bounds ends it with one line and exit code 2."""
ABOUT_IMPORTS: Final = """\
tests/unit/test_architecture.py holds them on the source of every file, imports inside functions included, and that no
two modules import each other by any way round."""
ABOUT_ORDERS: Final = """\
A pair of status and event that is not in the table changes nothing and is journalled. Nothing moves an order backwards.
Fills are no events: they are booked by their execution id, whatever the status says. The diagram leaves out the steps
by which the broker's word skips a status; the table has them."""

ABOUT_CONFORMANCE: Final = """\
What the paper exchange imitates of Alpaca, case by case, and where each behaviour is documented or was measured. Every
case is run twice by tests/conformance/test_cases.py: on the exchange's core in the test's own process, and through
alpaca-py against the exchange as a server; those marked *wire* are about transport and are run the second way alone."""


def pages() -> dict[str, str]:
    """File name → its whole text."""
    return {
        "streams.md": streams(),
        "permissions.md": permissions(),
        "configuration.md": configuration(),
        "imports.md": imports(),
        "order-life.md": order_life(),
        "conformance.md": conformance(),
    }


def streams() -> str:
    """Who writes which stream, who reads it, what travels."""
    lines = [
        "# Streams",
        MADE.format("shared/contracts/streams.py"),
        "",
        ABOUT_STREAMS,
        "",
        *table(
            ("stream", "written by", "read by", "carries", "keeps", "of one life"),
            (
                (
                    f"`{stream.name}{':N' if stream.partitioned else ''}`",
                    ", ".join(stream.writers),
                    ", ".join(stream.readers),
                    ", ".join(f"`{kind.__name__}`" for kind in stream.carries),
                    f"{stream.keep:,}",
                    "yes" if stream.of_one_life else "",
                )
                for stream in STREAMS
            ),
        ),
    ]
    for stream in STREAMS:
        lines += ["", f"## {stream.name}", stream.about, ""]
        for kind in stream.carries:
            lines += [f"**`{kind.__name__}`** ({', '.join(_fields(kind))})", *_indented(_docstring(kind)), ""]
        lines.pop()
    return _text(lines)


def permissions() -> str:
    """Who may read and write what on the server."""
    streams_of = (
        (
            service,
            ", ".join(f"`{name}`" for name in may_write(service)),
            ", ".join(f"`{name}`" for name in may_read(service)) if len(may_read(service)) < len(STREAMS) else "all",
        )
        for service in SERVICES
    )
    keys_of = (
        (
            f"`{keys.name.replace(OWN, 'SERVICE')}`",
            keys.kind,
            "; ".join(
                f"{', '.join('each its own' if who == ANY else who for who in use.who)}: {' '.join(use.commands)}"
                for use in keys.uses
                if use.writes
            ),
            keys.about,
        )
        for keys in KEYS
    )
    return _text(
        [
            "# Permissions",
            MADE.format("shared/contracts/streams.py and shared/contracts/keys.py"),
            "",
            ABOUT_PERMISSIONS,
            "",
            "## Streams",
            "",
            *table(("user", "appends to", "reads"), streams_of),
            "",
            "## Other keys",
            "",
            *table(("key", "kind", "who changes it, by which commands", "what"), keys_of),
        ]
    )


def configuration() -> str:
    """Every key of the configuration file and every variable of the environment."""
    lines = [
        "# Configuration",
        MADE.format("shared/runtime/settings.py and shared/contracts/rules.py"),
        "",
        ABOUT_CONFIGURATION,
        "",
        "## Environment only",
        "",
        *table(("variable", "meaning"), ((f"`{name}`", text) for name, text in {**VARIABLES, **ALPACAS_OWN}.items())),
    ]
    assert set(VARIABLES) == OUTSIDE | {"EV2_HOME"}, "a variable without a line here, or the other way round"
    for name, field in Settings.model_fields.items():
        section: Any = field.annotation
        if name == "feed":
            for kind, model in FEEDS.items():
                default = " (default)" if isinstance(field.default, model) else ""
                lines += ["", f'## [feed] with kind = "{kind}"{default}', *_about(model), *_section(model)]
        elif name != "home":
            lines += ["", f"## [{name}]", *_about(section), *_section(section)]
    return _text(lines)


def imports() -> str:
    """What may import what, and which files may have effects."""
    names = ", ".join(f"`{name}`" for name in (*architecture.IMPURE_MODULES, *architecture.IMPURE_NAMES))
    exceptions = architecture.EXCEPTIONS.items()
    return _text(
        [
            "# Import rules",
            MADE.format("tests/architecture.py"),
            "",
            ABOUT_IMPORTS,
            "",
            "A folder imports itself and:",
            "",
            *table(
                ("folder", "may import"),
                (
                    (f"`{folder}`", ", ".join(f"`{name}`" for name in packages) or "nothing of ours")
                    for folder, packages in architecture.MAY_IMPORT.items()
                ),
            ),
            "",
            "A library is imported only where it lives:",
            "",
            *table(
                ("library", "lives in"),
                (
                    (f"`{library}`", ", ".join(f"`{home}`" for home in homes))
                    for library, homes in architecture.LIBRARY_LIVES_IN.items()
                ),
            ),
            "",
            f"A service's files named {', '.join(f'`{name}`' for name in architecture.EDGES)} are its edges: they",
            "may have effects. Its other files, `shared/contracts` and `shared/domain` are pure. They neither import",
            f"nor call: {names}.",
            "",
            "Exceptions (the list only shrinks):",
            "",
            *(table(("file", "why"), ((f"`{name}`", why) for name, why in exceptions)) if exceptions else ["none."]),
        ]
    )


def order_life() -> str:
    """The steps of an order, as a diagram and as a table."""
    from_all = [event for event in Event if all((status, event) in ORDER_LIFE for status in LIVE)]
    shown: dict[tuple[Status, Status], list[str]] = {}
    for (status, event), result in ORDER_LIFE.items():
        if event not in BROKER_EVENTS or _is_next(status, result):
            shown.setdefault((status, result), []).append(event.value)
    arrows = {pair: f"{pair[0]} --> {pair[1]}: {', '.join(events)}" for pair, events in shown.items()}
    within = [pair for pair in arrows if LIVE_SET.issuperset(pair)]
    return _text(
        [
            "# Life of an order",
            MADE.format("shared/domain/order_life.py"),
            "",
            ABOUT_ORDERS,
            "",
            "```mermaid",
            "stateDiagram-v2",
            f"    [*] --> {LIVE[0].value}",
            "    state live {",
            *(f"        {arrows[pair]}" for pair in within),
            "    }",
            *(f"    {arrows[pair]}" for pair in arrows if pair not in within),
            *(f"    live --> {BROKER_EVENTS[event]}: {event}" for event in from_all),
            "```",
            "",
            *table(
                ("status", "event", "becomes"),
                ((f"`{status}`", f"`{event}`", f"`{result}`") for (status, event), result in ORDER_LIFE.items()),
            ),
        ]
    )


def _is_next(status: Status, result: Status) -> bool:
    """Whether the broker's word for `result` moves an order that was sent to the very next stage."""
    if status is Status.PLANNED or not LIVE_SET.issuperset((status, result)):
        return False
    later = [RANK[other] for (one, event), other in ORDER_LIFE.items() if one is status and event in BROKER_EVENTS]
    return RANK[result] == min(later)


def conformance() -> str:
    """The numbered list of broker cases, by section."""
    lines = ["# Conformance of the paper exchange", MADE.format("tests/conformance"), "", ABOUT_CONFORMANCE]
    for section, cases in groupby(CASES, key=lambda case: case.section):
        rows = [(case.number, case.text + (" *(wire)*" if case.wire_only else ""), case.source) for case in cases]
        lines += ["", f"## {section}", "", *table(("", "case", "source"), rows)]
    return _text(lines)


def table(head: tuple[str, ...], rows: Any) -> Iterator[str]:
    """Lines of a Markdown table."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |"


def _section(model: type[BaseModel]) -> Iterator[str]:
    yield ""
    yield from table(
        ("key", "kind", "default", "meaning"),
        (
            (f"`{key}`", _kind(field), _default(field), field.description or "")
            for key, field in model.model_fields.items()
        ),
    )


def _about(model: type[BaseModel]) -> list[str]:
    own = model.__dict__.get("__doc__")
    return [inspect.cleandoc(own)] if own else []


def _kind(field: FieldInfo) -> str:
    bounds = [f"{sign} {value:g}" for sign, value in _bounds(field.metadata)]
    return " ".join([_words(field.annotation), *([f"({', '.join(bounds)})"] if bounds else [])])


SIGNS: Final[Mapping[str, str]] = {"Ge": ">=", "Gt": ">", "Le": "<=", "Lt": "<"}


def _bounds(metadata: list[Any]) -> Iterator[tuple[str, float]]:
    for limit in metadata:
        sign = SIGNS.get(type(limit).__name__)
        if sign is not None:
            yield sign, float(getattr(limit, type(limit).__name__.lower()))


PLAIN: Final[Mapping[Any, str]] = {
    bool: "yes or no",
    int: "whole number",
    float: "number",
    Decimal: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret",
    dt.date: "date",
    dt.time: "time",
    types.NoneType: "none",
}


def _words(annotation: Any) -> str:
    if annotation in PLAIN:
        return PLAIN[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = [f"{sign} {value:g}" for sign, value in _bounds(list(getattr(arguments[1], "metadata", ())))]
        return " ".join([_words(arguments[0]), *([f"({', '.join(bounds)})"] if bounds else [])])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (types.UnionType, Union):
        return " or ".join(_words(part) for part in arguments)
    if origin is tuple:
        return f"list of {_words(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    raise TypeError(f"no words for {annotation!r}: add them")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    match field.default:
        case None:
            return "none"
        case bool():
            return "yes" if field.default else "no"
        case SecretStr():
            return "set" if field.default.get_secret_value() else "none"
        case tuple():
            return ", ".join(str(value) for value in field.default) or "empty"
        case Enum():
            return f"`{field.default.value}`"
        case dt.time():
            return f"{field.default:%H:%M}"
        case "":
            return "empty"
        case _:
            return f"`{field.default}`"


def _fields(kind: type[Any]) -> Iterator[str]:
    shared = {"id", "at", "cause"}
    yield from (f"`{name}`" for name in kind.__struct_fields__ if name not in shared)


def _docstring(kind: type[Any]) -> list[str]:
    own = kind.__dict__.get("__doc__")
    return inspect.cleandoc(own).splitlines() if own else []


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}".rstrip() for line in lines]


def _text(lines: list[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
