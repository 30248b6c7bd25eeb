"""The fault script: what it may say, and which request it hits."""

from __future__ import annotations

import pytest

from services.exchange.faults import ACTIONS, BadScript, Do, Fault, Faults, Kind


def hits(script: str, kind: Kind, names: list[str]) -> list[Do | None]:
    faults = Faults.read(script)
    return [fault.do if (fault := faults.hit(kind, name)) else None for name in names]


def test_a_fault_hits_the_nth_that_fits_and_as_many_as_it_says() -> None:
    script = '[[fault]]\non = "GET /v2/clock"\ndo = "drop"\nnth = 2\ntimes = 2'
    assert hits(script, Kind.REQUEST, ["GET /v2/clock"] * 4) == [None, Do.DROP, Do.DROP, None]


def test_times_0_hits_all_from_then_on() -> None:
    script = '[[fault]]\non = "event *"\ndo = "drop"\nnth = 2\ntimes = 0'
    assert hits(script, Kind.EVENT, ["new"] * 4) == [None, Do.DROP, Do.DROP, Do.DROP]


def test_what_does_not_fit_is_not_counted() -> None:
    script = '[[fault]]\non = "* /v2/orders/*"\ndo = "drop"'
    names = ["POST /v2/orders", "GET /v2/orders:by_client_order_id", "PATCH /v2/orders/1", "DELETE /v2/orders/1"]
    assert hits(script, Kind.REQUEST, names) == [None, None, Do.DROP, None]


def test_a_fault_that_lasts_hits_everything_for_so_long() -> None:
    faults = Faults.read('[[fault]]\non = "GET *"\ndo = "drop"\nlasts = 3')
    assert [faults.hit(Kind.REQUEST, "GET /x", at) is not None for at in (10.0, 12.9, 13.0, 13.1)] == [
        True,
        True,
        True,
        False,
    ]


def test_of_two_faults_the_first_that_hits_counts_and_both_count_what_passes() -> None:
    script = '[[fault]]\non = "GET *"\ndo = "drop"\n[[fault]]\non = "GET *"\ndo = "empty"\nnth = 2'
    assert hits(script, Kind.REQUEST, ["GET /x"] * 3) == [Do.DROP, Do.EMPTY, None]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("fault = 3", "fault script"),
        ("[[fault", "fault script"),
        ('[[fault]]\non = "POST /x"', "do"),
        ('[[fault]]\non = "POST /x"\ndo = "sing"', "sing"),
        ('[[fault]]\non = "POST /x"\ndo = "mute"', "fault 1: mute is not for requests"),
        ('[[fault]]\non = "weather AAPL"\ndo = "drop"', "fault 1: on = 'weather AAPL'"),
        ('[[fault]]\non = "POST /x"\ndo = "drop"\nnht = 2', "nht"),
    ],
)
def test_a_bad_script_is_refused_with_the_reason(script: str, words: str) -> None:
    with pytest.raises(BadScript) as refusal:
        Faults.read(script)
    assert words in str(refusal.value)


def test_every_action_is_for_something() -> None:
    assert set().union(*ACTIONS.values()) == set(Do)


def test_an_empty_script_is_no_fault() -> None:
    assert not Faults.read("")
    assert Fault(on="bar AAPL", do=Do.DROP).kind is Kind.BAR
