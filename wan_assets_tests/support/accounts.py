"""The account's books and the ledger, held against each other."""

from collections import Counter

from engine_support import Studio


def assert_charged_once(made: Studio, number: int) -> None:
    """So many requests were charged once each, and the ledger tells the same sum as the account."""
    assert Counter(made.journal.charges_by_fingerprint().values()) == {1: number}
    assert made.ledger().totals().simulated.cost_microusd == made.journal.spent_microusd()


def assert_nothing_reserved(made: Studio) -> None:
    assert made.ledger().totals().simulated.reserved_microusd == 0
