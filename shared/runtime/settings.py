"""Settings: one TOML file and the environment, read once at the start of a process; unknown keys are refused.

Precedence: environment (`EV2_ENTRY__MAX_DRIFT=0.02`) over the file. The file is `EV2_CONFIG`, else `execution.toml` in
the home folder if there is one. Sections of trading rules are those of shared/contracts/rules.py.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from shared.contracts import rules as trading
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.rules import Rules, Section

PREFIX: Final = "EV2_"
OUTSIDE: Final = frozenset(
    {"EV2_CONFIG", "EV2_INSTANCE", "EV2_REDIS_URL", "EV2_CRASH_AT", "EV2_PAGE_TOKEN", "EV2_SWITCHES"}
)
DEMO_KEY: Final = "demo"


class BadSettings(Exception):
    """The configuration is wrong; the text is one line: what, where, what to do."""


class Pace(StrEnum):
    """free: the wall clock gives time (live). conducted: the conductor does (demo, replay)."""

    FREE = "free"
    CONDUCTED = "conducted"


class BusSettings(Section):
    """Each process signs in as a user of its own, `PREFIX-SERVICE` (docs/security.md), unless `url` names one."""

    url: SecretStr | None = Field(None, description="redis://, rediss:// or unix://; none: the embedded server")
    password: SecretStr | None = Field(None, description="of this process's user")
    passwords: Path | None = Field(
        None, description="folder with a file for each user's password; none: the embedded server's own"
    )
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,24}:$")] = "ev2:"
    partitions: Annotated[int, Field(ge=1, le=64)] = 4


class RecordedFeed(Section):
    kind: Literal["recorded"] = "recorded"
    bars: Path
    daily: Path | None = None
    first: date | None = Field(None, description="first session to play; none: the file's first")
    last: date | None = Field(None, description="last session to play; none: the same as `first`")


class SyntheticFeed(Section):
    kind: Literal["synthetic"] = "synthetic"
    seed: int = Field(7, description="the same seed gives the same market")
    symbols: Annotated[int, Field(ge=1, le=2000)] = Field(12, description="besides SPY")
    breakout_rate: Annotated[float, Field(ge=0, le=1)] = Field(0.10, description="scripted breakouts per stock-day")
    first: date | None = Field(None, description="first session to play; none: the last completed session")
    last: date | None = None


class AlpacaFeed(Section):
    kind: Literal["alpaca"] = "alpaca"
    key: SecretStr = SecretStr("")
    secret: SecretStr = SecretStr("")
    feed: Literal["iex", "sip"] = "iex"
    rest_url: str | None = None
    stream_url: str | None = None


Feed = Annotated[RecordedFeed | SyntheticFeed | AlpacaFeed, Field(discriminator="kind")]


class DataSettings(Section):
    grace: Annotated[float, Field(ge=0, le=30)] = Field(2.0, description="seconds after a minute's end; 0 if conducted")
    max_jump: Annotated[float, Field(gt=0)] = Field(0.25, description="fraction of the previous close")
    whole_market: Annotated[int, Field(ge=1)] = Field(500, description="publish every symbol up to this many")


class BrokerSettings(Section):
    """kind exchange: the paper exchange of this project (dry run). paper, live: Alpaca."""

    kind: Literal["exchange", "paper", "live"] = "exchange"
    key: SecretStr = SecretStr(DEMO_KEY)
    secret: SecretStr = SecretStr(DEMO_KEY)
    account: str | None = Field(None, description="the broker's account number; must match before live trading")
    url: str | None = Field(None, description="REST address, no slash at the end; none: by kind")
    stream_url: str | None = None
    requests_per_minute: Annotated[int, Field(ge=10)] | None = Field(
        None, description="the broker's limit; none: 200, exchange: none to speak of"
    )
    lease: Annotated[float, Field(gt=0)] = Field(5.0, description="seconds from a granted claim to the request")
    grace: Annotated[float, Field(ge=0)] | None = Field(None, description="seconds of look-ups; none: 60, exchange 2")

    @property
    def rest_address(self) -> str:
        by_kind = {"paper": "https://paper-api.alpaca.markets", "live": "https://api.alpaca.markets"}
        return self.url or by_kind[self.kind]

    @property
    def stream_address(self) -> str:
        if self.stream_url:
            return self.stream_url
        return self.rest_address.replace("http", "ws", 1) + "/stream"

    @property
    def request_limit(self) -> int:
        """Requests a minute that the broker takes; our own exchange, which may play a day in seconds, takes any."""
        if self.requests_per_minute is not None:
            return self.requests_per_minute
        return 1_000_000 if self.kind == "exchange" else 200

    @property
    def grace_s(self) -> float:
        if self.grace is not None:
            return self.grace
        return 2.0 if self.kind == "exchange" else 60.0


class ExchangeSettings(ExchangeRules):
    """The paper exchange: its rules, where it listens, and whom it lets in."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    key: SecretStr = SecretStr(DEMO_KEY)
    secret: SecretStr = SecretStr(DEMO_KEY)
    requests_per_minute: Annotated[int, Field(ge=0)] = Field(0, description="0: no limit")
    faults: Path | None = Field(None, description="fault script, as in services/exchange/faults.py")
    admin: bool = Field(False, description="the routes /admin/...: faults, halts, splits by hand")
    json_log: Path | None = Field(None, description="a line for each request, connection and trade update")


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "text"] = "json"


class MetricsSettings(Section):
    port: Annotated[int, Field(ge=1, le=65400)] | None = Field(
        None, description="none: off; the processes of `up` and `demo` count up from it"
    )


class AlertSettings(Section):
    """Where alerts go: any addresses of apprise (`slack://...`, `mailto://...`), by the least level sent there.

    They hold secrets, so they are masked everywhere. info: fills and refusals of the broker too, and the daily summary.
    """

    info: tuple[SecretStr, ...] = Field((), description="addresses that get everything")
    warning: tuple[SecretStr, ...] = Field((), description="addresses that get warnings and critical alerts")
    critical: tuple[SecretStr, ...] = Field((), description="addresses that get critical alerts alone")
    repeat_after: Annotated[float, Field(ge=0)] = Field(900, description="seconds until the same alert is sent again")
    pause: Annotated[float, Field(ge=0)] = Field(5, description="seconds between two messages to one address")
    timeout: Annotated[float, Field(gt=0, le=120)] = Field(15, description="seconds after which an address hangs")
    quiet_from: time | None = Field(None, description="New York; from then on only critical alerts are sent")
    quiet_until: time | None = Field(None, description="New York; what was held back is sent then")
    summary: bool = Field(True, description="a summary at the session's end")
    heartbeat: SecretStr | None = Field(None, description="address that is asked (GET) as long as the engine lives")
    heartbeat_every: Annotated[float, Field(ge=1)] = Field(60, description="seconds")

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be told anything."""
        return bool(self.info or self.warning or self.critical or self.heartbeat)


class PageSettings(Section):
    """The page. Whoever has the token may halt and sell, so it is for this machine alone unless told otherwise."""

    serve: bool = Field(True, description="`up` and `run` start the page, too")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    token: SecretStr | None = Field(None, description="log-in; none: drawn once, in `data/page_token`")
    https: bool = Field(False, description="it stands behind HTTPS: cookies go over that alone")
    origins: tuple[str, ...] = Field((), description="addresses, such as https://desk.example, of a proxy before it")


class RunSettings(Section):
    pace: Pace = Pace.FREE
    speed: Annotated[float, Field(ge=0)] = Field(0, description="market seconds a second, conducted; 0: full speed")
    salt: str = Field("", description="goes into every draw; `--seed` of a replay")
    installation: Annotated[str, Field(pattern="^[a-z0-9]{0,6}$")] = Field("", description="empty: drawn once per home")
    tape: Annotated[int, Field(ge=0)] = Field(60, description="sessions whose tape is kept; 0: none is recorded")
    signals: Annotated[int, Field(ge=1, le=64)] = 1
    executors: Annotated[int, Field(ge=1, le=64)] = Field(1, description="of each kind")


class Settings(BaseSettings):
    """Everything a process may be told. Rules stand at the top level, as `[entry]`, `[risk]`, ..."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    home: Path = Path()
    bus: BusSettings = BusSettings()
    feed: Feed = SyntheticFeed()
    data: DataSettings = DataSettings()
    broker: BrokerSettings = BrokerSettings()
    exchange: ExchangeSettings = ExchangeSettings()
    logs: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    alerts: AlertSettings = AlertSettings()
    page: PageSettings = PageSettings()
    run: RunSettings = RunSettings()

    candidates: trading.CandidateRules = trading.CandidateRules()
    levels: trading.LevelRules = trading.LevelRules()
    regime: trading.GlobalRegimeRules = trading.GlobalRegimeRules()
    symbol_regime: trading.SymbolRegimeRules = trading.SymbolRegimeRules()
    breakout: trading.BreakoutRules = trading.BreakoutRules()
    risk: trading.RiskRules = trading.RiskRules()
    size: trading.SizeRules = trading.SizeRules()
    entry: trading.EntryRules = trading.EntryRules()
    stop: trading.StopRules = trading.StopRules()
    trim: trading.TrimRules = trading.TrimRules()
    exit: trading.ExitRules = trading.ExitRules()
    protection: trading.ProtectionRules = trading.ProtectionRules()
    limits: trading.LimitRules = trading.LimitRules()
    strategy: trading.StrategyRules = trading.StrategyRules()

    @property
    def rules(self) -> Rules:
        """The trading rules, in the form in which services take them."""
        return Rules.model_validate({name: getattr(self, name) for name in Rules.model_fields})

    @property
    def contradiction(self) -> str:
        """Why no process may start with these settings: orders for real shares on bars of another time. Empty: none."""
        if self.broker.kind == "exchange" or isinstance(self.feed, AlpacaFeed):
            return ""
        return (
            f"broker.kind {self.broker.kind} would trade at Alpaca on the prices of a {self.feed.kind} market; "
            "set feed.kind to alpaca, or broker.kind to exchange"
        )

    @property
    def data_folder(self) -> Path:
        return self.home / "data"

    @property
    def ledger(self) -> Path:
        return self.data_folder / "execution_v2.sqlite"

    @property
    def halt_file(self) -> Path:
        """In the one folder that may be written, so that a container can halt."""
        return self.data_folder / "halt"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # load_settings reads the environment, and says whose fault a wrong value is


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process.

    environment: for tests; the process's own otherwise. Raises BadSettings, with one line.
    """
    env = os.environ if environment is None else environment
    _refuse_unknown_variables(env)
    home = Path(env.get("EV2_HOME", "."))
    path = Path(env["EV2_CONFIG"]) if env.get("EV2_CONFIG") else home / "execution.toml"
    table = _read(path, wanted="EV2_CONFIG" in env)
    table.setdefault("home", home)
    if "EV2_FEED" in env:
        table.pop("feed", None)  # it is one of several kinds: keys of another kind must not be mixed in
    try:
        merged = _merged(table, _from_environment(env))
        if isinstance(merged.get("feed"), dict):
            merged["feed"].setdefault("kind", "synthetic")
        settings = Settings(**merged)
    except ValidationError as fault:
        raise BadSettings(_one_line(fault, path, table)) from None
    except SettingsError as fault:
        raise BadSettings(f"environment: {fault}; complex values are JSON") from None
    return _with_standard_names(settings, env)


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in env.items() if name.startswith(PREFIX)}
    return source()


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both, table by table; `over` wins key by key."""
    both = dict(under)
    for key, value in over.items():
        below = both.get(key)
        both[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both


def _read(path: Path, *, wanted: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if wanted:
            raise BadSettings(f"{path}: no such configuration file; write one or leave EV2_CONFIG away") from None
        return {}
    except NotADirectoryError:
        raise BadSettings(f"{path.parent}: is a file; the home must be a folder") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise BadSettings(f"{path}: cannot be read ({fault})") from None
    except tomllib.TOMLDecodeError as fault:
        raise BadSettings(f"{path}: not valid TOML: {fault}") from None


def _refuse_unknown_variables(env: Mapping[str, str]) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | OUTSIDE
    for name in sorted(env):
        section = name.partition("__")[0].upper()
        if name.startswith(PREFIX) and section not in known:
            near = difflib.get_close_matches(section, sorted(known), n=1, cutoff=0.0)[0]
            raise BadSettings(f"environment: unknown variable {name}; did you mean {near}?")


def _one_line(fault: ValidationError, path: Path, table: Mapping[str, Any]) -> str:
    first = fault.errors(include_url=False, include_input=False)[0]
    steps = [str(step) for step in first["loc"] if step not in ("recorded", "synthetic", "alpaca")]
    where = ".".join(steps) or "settings"
    source = str(path) if _stands_in(table, steps) else "environment"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(steps[-1], sorted(_known_keys(steps[:-1], table)), n=1, cutoff=0.0)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{source}: unknown key {where}{hint}"
    return f"{source}: {where}: {first['msg'].removeprefix('Value error, ')}"


def _stands_in(table: Mapping[str, Any], steps: list[str]) -> bool:
    place: Any = table
    for step in steps:
        if not isinstance(place, Mapping) or step not in place:
            return place is not table and isinstance(place, Mapping)
        place = place[step]
    return True


def _known_keys(steps: list[str], table: Mapping[str, Any]) -> Iterator[str]:
    model: type[BaseModel] = Settings
    for step in steps:
        if step == "feed":
            kind = table.get("feed", {}).get("kind", "synthetic")
            kinds: dict[str, type[BaseModel]] = {"recorded": RecordedFeed, "alpaca": AlpacaFeed}
            model = kinds.get(kind, SyntheticFeed)
            continue
        annotation = model.model_fields[step].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return
        model = annotation
    yield from model.model_fields


def _with_standard_names(settings: Settings, env: Mapping[str, str]) -> Settings:
    """Alpaca's own variable names serve for keys, EV2_REDIS_URL and EV2_PAGE_TOKEN where ours are not set."""
    update: dict[str, Any] = {}
    key, secret = env.get("APCA_API_KEY_ID"), env.get("APCA_API_SECRET_KEY")
    if key and secret:
        keys = {"key": SecretStr(key), "secret": SecretStr(secret)}
        if settings.broker.kind != "exchange" and settings.broker.key.get_secret_value() == DEMO_KEY:
            update["broker"] = settings.broker.model_copy(update=keys)
        if isinstance(settings.feed, AlpacaFeed) and not settings.feed.key.get_secret_value():
            update["feed"] = settings.feed.model_copy(update=keys)
    if env.get("EV2_REDIS_URL") and settings.bus.url is None:
        update["bus"] = settings.bus.model_copy(update={"url": SecretStr(env["EV2_REDIS_URL"])})
    if env.get("EV2_PAGE_TOKEN") and settings.page.token is None:
        update["page"] = settings.page.model_copy(update={"token": SecretStr(env["EV2_PAGE_TOKEN"])})
    return settings.model_copy(update=update) if update else settings
