"""A lease is relied on only while nobody else can have taken its tasks, whatever stood still in between."""

import hypothesis.strategies as st
from hypothesis import given

from wan_assets.ledger import Instant, Lease

LEASE_S = 40.0


def at(moment_s: float, *, boot_stood_still: bool = False, wall_stood_still: bool = False) -> Instant:
    return Instant(0.0 if boot_stood_still else moment_s, 0.0 if wall_stood_still else moment_s)


seconds = st.floats(0.0, 100.0)


@given(
    claimed_s=seconds,
    renewals=st.lists(st.tuples(st.floats(0.0, 60.0), st.floats(0.0, 60.0)), max_size=6),
    later_s=st.floats(0.0, 60.0),
)
def test_a_covered_task_cannot_have_been_taken_by_anybody_else(
    claimed_s: float, renewals: list[tuple[float, float]], later_s: float
) -> None:
    lease, now_s = Lease(LEASE_S), 0.0
    until_s, was_free = claimed_s + LEASE_S, False

    for pause_s, took_s in renewals:
        started_s = now_s + pause_s
        now_s = started_s + took_s
        lease.confirm(at(started_s), at(now_s))
        if started_s >= claimed_s:
            was_free = was_free or now_s >= until_s
            until_s = max(until_s, started_s + LEASE_S)
    asked_s = max(now_s, claimed_s) + later_s

    if lease.covers(at(claimed_s), at(asked_s)):
        assert not was_free
        assert asked_s < until_s


def test_a_task_is_covered_as_long_as_its_lease_is_renewed_in_time() -> None:
    lease = Lease(LEASE_S)

    for beat in range(1, 100):
        lease.confirm(at(beat * 10.0), at(beat * 10.0 + 1))
        assert lease.covers(at(0.0), at(beat * 10.0 + 11))


def test_a_new_claim_is_covered_after_a_suspension_and_an_old_one_is_not() -> None:
    lease = Lease(LEASE_S)
    lease.confirm(at(10.0), at(10.1))
    lease.confirm(at(500.0), at(500.1))

    assert not lease.covers(at(9.0), at(501.0))
    assert lease.covers(at(500.2), at(501.0))


def test_it_is_enough_that_one_of_both_clocks_ran_on() -> None:
    for stopped in ({"boot_stood_still": True}, {"wall_stood_still": True}):
        lease = Lease(LEASE_S)
        lease.confirm(at(0.0), at(0.1))
        assert not lease.covers(at(0.0), at(LEASE_S, **stopped))
