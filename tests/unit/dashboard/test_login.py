"""Tries are counted, sessions end, and the token is compared whole."""

from __future__ import annotations

from services.dashboard.login import SESSION_S, SESSIONS_MAX, TRIES, TRIES_OF_ALL, WITHIN_S, Tries, Visitors, is_token


def test_five_wrong_tokens_make_a_caller_wait_and_nobody_else() -> None:
    tries = Tries()
    for second in range(TRIES):
        assert tries.wait_s("mallory", second) == 0
        tries.failed("mallory", second)
    assert tries.wait_s("mallory", 10.0) == WITHIN_S - 10.0
    assert tries.wait_s("alice", 10.0) == 0
    assert tries.wait_s("mallory", WITHIN_S) == 0


def test_many_callers_together_make_everybody_wait() -> None:
    tries = Tries()
    for number in range(TRIES_OF_ALL):
        tries.failed(f"caller-{number}", 1.0)
    assert tries.wait_s("alice", 2.0) > 0


def test_callers_are_forgotten_before_they_fill_the_memory() -> None:
    tries = Tries()
    for number in range(5_000):
        tries.failed(f"caller-{number}", float(number))
    assert len(tries._of) <= 1_001


def test_a_session_lasts_twelve_hours_and_ends_at_a_log_out() -> None:
    visitors = Visitors()
    visitors.enter("secret", 0.0)
    assert visitors.known("secret", SESSION_S - 1) is not None
    assert visitors.known("secret", SESSION_S) is None
    assert visitors.known("other", 1.0) is None
    assert visitors.known("", 1.0) is None
    visitors.leave("secret")
    assert visitors.known("secret", 1.0) is None


def test_what_stands_in_memory_is_no_secret_that_lets_anybody_in() -> None:
    visitors = Visitors()
    visitors.enter("secret", 0.0)
    assert "secret" not in repr(visitors._known)


def test_the_oldest_session_makes_room_for_one_too_many() -> None:
    visitors = Visitors()
    for number in range(SESSIONS_MAX + 1):
        visitors.enter(f"secret-{number}", float(number))
    assert visitors.known("secret-0", 100.0) is None
    assert visitors.known("secret-1", 100.0) is not None


def test_the_token_is_the_token_and_nothing_else() -> None:
    assert is_token("tøken", "tøken")
    assert not is_token("token ", "token")
    assert not is_token("", "token")
