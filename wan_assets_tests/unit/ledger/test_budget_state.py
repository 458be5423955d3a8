"""What is left of a budget, and what it lacks."""

import pytest

from wan_assets.ledger import BudgetState, Counter


@pytest.mark.parametrize(
    ("committed", "needed", "balance", "room", "shortfall"),
    [
        (0, 60, 100, 100, 0),
        (40, 60, 60, 60, 0),
        (41, 60, 59, 59, 1),
        (100, 1, 0, 0, 1),
        (140, 60, -40, 0, 100),
        (140, 0, -40, 0, 0),
    ],
)
def test_raising_the_limit_by_the_shortfall_makes_an_amount_fit(
    committed: int, needed: int, balance: int, room: int, shortfall: int
) -> None:
    state = BudgetState(Counter("total"), "total", 100, committed)
    raised = BudgetState(Counter("total"), "total", 100 + shortfall, committed)

    assert (state.balance_microusd, state.room_microusd) == (balance, room)
    assert state.shortfall_microusd(needed) == shortfall
    assert needed <= max(raised.room_microusd, 0)
