"""Many rows and many processes: each video is paid for once, and no cap is exceeded."""

import contextlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from accounts import assert_charged_once, assert_nothing_reserved
from bent_api import PATIENT
from engine_support import CHARGES_EVERY_COPY, PRICE, Studio, errors_of, jobs_of, studio
from folders import SUPPORT
from python_process import PythonProcess

from wan_assets.engine import Limits

RUN = """
import json, sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from bent_api import PATIENT
from engine_support import Studio, caps, errors_of, jobs_of
folder, base_url, rows, cap = sys.argv[1:]
made = Studio(Path(folder), SimpleNamespace(base_url=base_url))
outcomes = made.run(jobs_of(int(rows)), budget=caps(total_microusd=int(cap)), http_config=PATIENT)
print(json.dumps(Counter(errors_of(outcomes))))
"""


def test_answers_that_are_lost_after_the_task_was_taken_cost_nothing_in_three_hundred_rows(tmp_path: Path) -> None:
    faults = {"drop_after_accept": 0.05, "error_503_after_accept": 0.05}

    with studio(tmp_path, faults=faults, **CHARGES_EVERY_COPY) as made:
        outcomes = made.run(jobs_of(300), limits=Limits(max_in_flight=200), http_config=PATIENT)

        assert made.journal.submissions() == made.paid == 300
        assert_charged_once(made, 300)
        assert_nothing_reserved(made)
    assert errors_of(outcomes) == [""] * 300
    assert len({outcome.stored.videos[0].uri for outcome in outcomes if outcome.stored}) == 300


def ran_together(
    made: Studio, processes: int, rows: int, *, cap_microusd: int, on_progress: Callable[[], object]
) -> list[dict[str, int]]:
    """The same run in several processes at once, watched to the end: how often each kind of error came in each."""
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    command = ["-c", RUN, made.folder, made.simulator.base_url, str(rows), str(cap_microusd)]
    running = [PythonProcess(command, env=environment, stdout=subprocess.PIPE) for _ in range(processes)]
    while alive := [process for process in running if process.poll() is None]:
        on_progress()
        with contextlib.suppress(subprocess.TimeoutExpired):
            alive[0].wait(0.02)
    on_progress()
    return [json.loads(process.communicate()[0]) for process in running]


def test_two_processes_on_the_same_rows_pay_once_for_each_and_both_get_all(tmp_path: Path) -> None:
    with studio(tmp_path, **CHARGES_EVERY_COPY) as made:
        errors = ran_together(made, 2, 200, cap_microusd=200 * PRICE, on_progress=lambda: None)

        assert made.journal.submissions() == 200
        assert_charged_once(made, 200)
        assert_nothing_reserved(made)
    assert errors == [{"": 200}] * 2


def test_four_processes_together_never_spend_beyond_a_cap_and_use_it_up(tmp_path: Path) -> None:
    cap, spent = 51 * PRICE - 1, []

    with studio(tmp_path) as made:
        errors = ran_together(
            made, 4, 120, cap_microusd=cap, on_progress=lambda: spent.append(made.journal.spent_microusd())
        )

        assert_charged_once(made, 50)
        assert_nothing_reserved(made)
    assert errors == [{"": 50, "BudgetExceededError": 70}] * 4
    assert set(spent) - {0, 50 * PRICE}
    assert max(spent) == 50 * PRICE <= cap
