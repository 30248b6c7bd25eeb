"""Settings: read once, whole or not at all; what is mistyped is named with the nearest thing that exists."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.contracts.rules import Rules
from shared.runtime.settings import (
    AlpacaFeed,
    BadSettings,
    RecordedFeed,
    Settings,
    SyntheticFeed,
    load_settings,
)

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Settings of a home of its own: `load(toml, EV2_NAME=value)`."""
    for name in os.environ:
        if name.startswith(("EV2_", "APCA_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("EV2_HOME", str(tmp_path))

    def loaded(toml: str = "", **environment: str) -> Settings:
        (tmp_path / "execution.toml").write_text(toml)
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            return load_settings()

    return loaded


def test_nothing_configured_is_a_dry_run_on_a_synthetic_market_with_the_rules_of_the_book(load: Load) -> None:
    settings = load()
    assert settings.broker.kind == "exchange"
    assert isinstance(settings.feed, SyntheticFeed)
    assert settings.bus.url is None
    assert settings.rules == Rules()


def test_everything_of_an_installation_lies_in_its_home(load: Load, tmp_path: Path) -> None:
    settings = load()
    assert settings.data_folder == tmp_path / "data"
    assert settings.ledger == tmp_path / "data" / "execution_v2.sqlite"


def test_the_file_of_the_home_is_read_and_the_environment_goes_over_it(load: Load) -> None:
    file = "[entry]\nmax_drift = 0.02\nfill_for = 60\n[limits]\nblock = ['GME']\n"
    settings = load(file, EV2_ENTRY__MAX_DRIFT="0.03")
    assert (settings.entry.max_drift, settings.entry.fill_for) == (0.03, 60)
    assert settings.limits.block == ("GME",)


def test_another_file_may_be_named(load: Load, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[run]\nsignals = 3\n")
    assert load("[run]\nsignals = 2\n", EV2_CONFIG=str(tmp_path / "other.toml")).run.signals == 3


def test_a_feed_is_one_of_three_and_has_only_its_own_keys(load: Load) -> None:
    assert load('[feed]\nkind = "recorded"\nbars = "x.parquet"\n').feed == RecordedFeed(bars=Path("x.parquet"))
    assert isinstance(load('[feed]\nkind = "alpaca"\n').feed, AlpacaFeed)
    with pytest.raises(BadSettings, match=r"feed\.bars"):
        load('[feed]\nkind = "synthetic"\nbars = "x.parquet"\n')
    with pytest.raises(BadSettings, match=r"feed\.bars: Field required"):
        load('[feed]\nkind = "recorded"\n')


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("[entry]\nmax_drfit = 0.02\n", "unknown key entry.max_drfit; did you mean max_drift?"),
        ("[limits]\nmax_position = 3\n", "unknown key limits.max_position; did you mean max_positions?"),
        ("[entri]\nmax_drift = 0.02\n", "unknown key entri; did you mean entry?"),
        ("[feed]\nsead = 3\n", "unknown key feed.sead; did you mean seed?"),
        (
            '[feed]\nkind = "recorded"\nbars = "x"\nfrist = "2015-02-11"\n',
            "unknown key feed.frist; did you mean first?",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_name(load: Load, toml: str, line: str) -> None:
    with pytest.raises(BadSettings) as refused:
        load(toml)
    assert str(refused.value).endswith(f"execution.toml: {line}")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("EV2_REDIS_URI", "x", "environment: unknown variable EV2_REDIS_URI; did you mean EV2_REDIS_URL?"),
        ("EV2_ENTRY__MAX_DRFIT", "1", "environment: unknown key entry.max_drfit; did you mean max_drift?"),
    ],
)
def test_an_unknown_variable_is_refused_too(load: Load, name: str, value: str, line: str) -> None:
    with pytest.raises(BadSettings) as refused:
        load(**{name: value})
    assert str(refused.value) == line


@pytest.mark.parametrize(
    ("toml", "reason"),
    [
        ("[entry\n", "execution.toml: not valid TOML"),
        ("[entry]\nmax_drift = 2\n", "execution.toml: entry.max_drift: Input should be less than or equal to 1"),
        ('[entry]\nmax_drift = "much"\n', "entry.max_drift: Input should be a valid number"),
        ("[strategy]\nallow_adds = true\n", "allow_adds is not supported in this version"),
        ("[bus]\nprefix = 'no colon'\n", "bus.prefix"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_where(load: Load, toml: str, reason: str) -> None:
    with pytest.raises(BadSettings) as refused:
        load(toml)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_named_file_must_exist_and_be_text(load: Load, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no such configuration file"):
        load(EV2_CONFIG=str(tmp_path / "none.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadSettings, match="cannot be read"):
        load(EV2_CONFIG=str(tmp_path / "binary.toml"))


def test_a_list_in_the_environment_is_json_and_said_to_be(load: Load) -> None:
    assert load(EV2_LIMITS__BLOCK='["GME", "AMC"]').limits.block == ("GME", "AMC")
    with pytest.raises(BadSettings, match="JSON"):
        load(EV2_LIMITS__BLOCK="GME,AMC")


SECRET = "PK-do-not-show"


@pytest.mark.parametrize(
    "environment",
    [
        {"EV2_BROKER__KEY": SECRET, "EV2_BROKER__SECRET": SECRET},
        {"EV2_BROKER__KIND": "paper", "APCA_API_KEY_ID": SECRET, "APCA_API_SECRET_KEY": SECRET},
        {"EV2_FEED__KIND": "alpaca", "EV2_FEED__KEY": SECRET, "EV2_FEED__SECRET": SECRET},
        {"EV2_EXCHANGE__KEY": SECRET, "EV2_EXCHANGE__SECRET": SECRET},
    ],
)
def test_a_key_is_never_shown(load: Load, environment: dict[str, str]) -> None:
    settings = load(**environment)
    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert SECRET not in text


def test_a_key_in_the_wrong_place_is_not_shown_either(load: Load) -> None:
    for toml in (
        f'[broker]\nrequests_per_minute = "{SECRET}"\n',
        f'[broker]\nkind = "{SECRET}"\n',
        f'[broker]\nkey = ["{SECRET}"]\n',
    ):
        with pytest.raises(BadSettings) as refused:
            load(toml)
        assert SECRET not in str(refused.value)


def test_alpacas_own_variables_serve_for_its_keys_and_never_for_the_paper_exchange(load: Load) -> None:
    names = {"APCA_API_KEY_ID": "PKID", "APCA_API_SECRET_KEY": "hush"}
    assert load(EV2_BROKER__KIND="paper", **names).broker.key.get_secret_value() == "PKID"
    assert load(**names).broker.key.get_secret_value() == "demo"
    assert load(EV2_BROKER__KIND="paper", EV2_BROKER__KEY="mine", **names).broker.key.get_secret_value() == "mine"


def test_the_given_server_is_used(load: Load) -> None:
    given = load(EV2_REDIS_URL="redis://ann:hunter2@redis:6379/0")
    assert given.bus.url == SecretStr("redis://ann:hunter2@redis:6379/0")
    assert "hunter2" not in repr(given) + given.model_dump_json()


def test_settings_cannot_be_changed_once_they_were_read(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().run.salt = "x"  # type: ignore[misc]
