"""The configuration that `execution init` writes: what a person decided, and every default as a comment."""

from __future__ import annotations

import json
import os
import stat
import sys
import textwrap
from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import typer
from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cli.operating.words import a_symbol
from cli.options import typed
from cli.show import print_json
from cli.trouble import DONE, Trouble
from shared.runtime.settings import AlpacaFeed, BadSettings, RecordedFeed, Settings, SyntheticFeed, load_settings

FILE: Final = "execution.toml"
OWNER_ALONE: Final = 0o600
MODES: Final = {"dry": "exchange", "paper": "paper", "live": "live"}
WHERE: Final = {"dry": "the exchange on this machine", "paper": "Alpaca, paper", "live": "Alpaca, with real money"}
WIDTH: Final = 100
HEAD: Final = """\
# Configuration of this home. What starts with # is a comment: settings as they are without it.
# Every key: docs/configuration.md. What the rules mean: docs/strategy.md. Look before the start: execution check"""
NOTHING_ASKED: Final = "none"


class Wanted(Struct, frozen=True, kw_only=True):
    """What is known of the person's wishes; None: not said yet. mode: dry, paper or live. key, secret: at Alpaca."""

    mode: str | None = None
    watchlist: str | None = None
    bars: Path | None = None
    daily: Path | None = None
    account: str | None = None
    key: str = ""
    secret: str = ""


class Written(Struct, frozen=True, kw_only=True):
    """What `init --json` says. next: commands that follow."""

    file: str
    mode: str
    keys: str
    next: tuple[str, ...]


def configure(wanted: Wanted, *, ask: bool, force: bool, as_json: bool) -> int:
    """Ask, check, write. Raises Trouble; then nothing was written."""
    home = Path(os.environ.get("EV2_HOME") or ".")
    path = home / FILE
    if path.exists() and not force:
        raise Trouble(f"{path} exists and is left as it is; change it, or replace it with --force")
    if ask and not sys.stdin.isatty():
        raise Trouble("there is nobody to ask here: give --yes, and --mode and --watchlist where wanted")
    said = _ask(wanted) if ask else wanted
    values = _values(said)
    home.mkdir(parents=True, exist_ok=True)
    _refuse_open_folder(home, said)
    _write(path, text_of(values))
    _tell(path, said, as_json)
    return DONE


def text_of(values: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole file. values: what is decided, by section and key; all else stands in comments."""
    lines = [HEAD]
    for name, field in Settings.model_fields.items():
        if name == "home":
            continue
        decided = values.get(name, {})
        model = _feed_of(decided) if name == "feed" else field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        lines += ["", *_about(model.__doc__), f"[{name}]" if decided else f"# [{name}]"]
        for key, one in model.model_fields.items():
            lines += _lines_of(key, one, decided)
    return "\n".join(lines) + "\n"


def _lines_of(key: str, field: FieldInfo, decided: Mapping[str, Any]) -> Iterator[str]:
    said = [part for part in (field.description, _choices(field.annotation)) if part]
    note = f"   # {'; '.join(said)}" if said else ""
    if key in decided:
        yield f"{key} = {toml(decided[key])}{note}"
    elif field.default is None or field.default is PydanticUndefined or isinstance(field.default, SecretStr):
        yield f"# {key} ={note or '   # none'}"
    else:
        yield f"# {key} = {toml(field.default)}{note}"


def _about(text: str | None) -> list[str]:
    whole = " ".join((text or "").split())
    return [f"# {line}" for line in textwrap.wrap(whole, WIDTH)]


def _choices(annotation: Any) -> str:
    """The words that a key may have; empty where it is no choice."""
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return next((found for part in get_args(annotation) if (found := _choices(part))), "")
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(one.value) for one in annotation)
    words = get_args(annotation)
    return " | ".join(words) if len(words) > 1 and all(isinstance(word, str) for word in words) else ""


def toml(value: Any) -> str:
    """A value in TOML; JSON's text and lists of text are TOML's."""
    match value:
        case Enum():
            return json.dumps(value.value)
        case date() | time():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case Path():
            return json.dumps(str(value))
        case tuple() | list():
            return f"[{', '.join(map(toml, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _ask(wanted: Wanted) -> Wanted:
    """The person is asked for what was not given."""
    mode = wanted.mode or typer.prompt("Orders go to (dry: the paper exchange, paper, live: Alpaca)", default="dry")
    said = replace(wanted, mode=mode)
    _kind(said)
    if said.watchlist is None:
        given = typer.prompt("Symbols to watch, such as AAPL,MSFT, or a file of them", default=NOTHING_ASKED)
        said = replace(said, watchlist=None if given == NOTHING_ASKED else given)
    if mode == "live" and said.account is None:
        said = replace(said, account=typer.prompt("The account's number at the broker"))
    if mode != "dry":
        key = typer.prompt("Alpaca's key id (Enter: from the environment)", default="", show_default=False)
        secret = typer.prompt("Its secret", default="", show_default=False, hide_input=True) if key else ""
        said = replace(said, key=key, secret=secret)
    return said


def _kind(wanted: Wanted) -> str:
    kind = MODES.get(wanted.mode or "dry")
    if kind is None:
        raise Trouble(f"--mode {str(wanted.mode)[:20]!r}: write dry, paper or live")
    return kind


def _values(wanted: Wanted) -> dict[str, dict[str, Any]]:
    """What goes into the file, by section. Raises Trouble where it does not go together."""
    kind = _kind(wanted)
    values: dict[str, dict[str, Any]] = {"broker": {"kind": kind}}
    if kind == "exchange":
        values["feed"] = _played(wanted)
    else:
        if wanted.bars or wanted.daily:
            raise Trouble("--bars and --daily are played in a dry run; paper and live trade on Alpaca's own bars")
        if wanted.watchlist is None:
            raise Trouble(f"--mode {wanted.mode} needs --watchlist: the symbols that may be bought, such as AAPL,MSFT")
        values["feed"] = {"kind": "alpaca"}
        if bool(wanted.key) != bool(wanted.secret):
            raise Trouble("of key and secret only one was given: give both, or neither and set APCA_API_KEY_ID")
        if wanted.key:
            keys = {"key": wanted.key, "secret": wanted.secret}
            values["broker"] |= keys
            values["feed"] |= keys
    if kind == "live" and not wanted.account:
        raise Trouble("--mode live needs --account: the account's number, which must be the broker's own")
    if wanted.account:
        values["broker"]["account"] = wanted.account
    if wanted.watchlist is not None:
        values["candidates"] = _candidates(wanted.watchlist)
    return values


def _played(wanted: Wanted) -> dict[str, Any]:
    if wanted.bars is None:
        if wanted.daily is not None:
            raise Trouble("--daily needs --bars: the one-minute bars to play")
        return {"kind": "synthetic"}
    files = {"bars": wanted.bars} | ({"daily": wanted.daily} if wanted.daily else {})
    for name, path in files.items():
        if not path.is_file():
            raise Trouble(f"--{name} {path}: no such file")
    return {"kind": "recorded", **{name: path.resolve() for name, path in files.items()}}


def _candidates(watchlist: str) -> dict[str, Any]:
    path = Path(watchlist)
    if path.is_file():
        return {"watchlist_file": path.resolve()}
    if path.suffix and "/" in watchlist:
        raise Trouble(f"--watchlist {watchlist}: no such file")
    return {"watchlist": sorted({a_symbol(word) for word in watchlist.split(",") if word.strip()})}


def _feed_of(decided: Mapping[str, Any]) -> type[BaseModel]:
    kinds: dict[str, type[BaseModel]] = {"recorded": RecordedFeed, "alpaca": AlpacaFeed}
    return kinds.get(str(decided.get("kind")), SyntheticFeed)


def _refuse_open_folder(home: Path, wanted: Wanted) -> None:
    mode = home.stat().st_mode
    if wanted.key and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise Trouble(f"{home} can be written by everybody: keep keys in a folder of your own (chmod 700 {home})")


def _write(path: Path, text: str) -> None:
    """Whole, and only if it can be read; by its owner alone from the first byte on. Raises BadSettings."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ALONE), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        load_settings({"EV2_HOME": str(path.parent), "EV2_CONFIG": str(fresh)})
    except BadSettings:
        fresh.unlink()
        raise
    fresh.replace(path)


def _tell(path: Path, wanted: Wanted, as_json: bool) -> None:
    mode = wanted.mode or "dry"
    if mode == "dry":
        keys = "not needed"
    else:
        keys = "in the file" if wanted.key else "from the environment: APCA_API_KEY_ID, APCA_API_SECRET_KEY"
    follow = (typed("execution check"), typed("execution up"), *([typed("execution arm")] if mode == "live" else []))
    if as_json:
        print_json(Written(file=str(path), mode=mode, keys=keys, next=follow))
        return
    typer.echo(f"{path} is written, readable by you alone; orders go to: {WHERE[mode]}; keys: {keys}")
    typer.echo("next: " + "; ".join(follow))
