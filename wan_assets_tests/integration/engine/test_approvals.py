"""Finals of drafts are submitted only while the draft is approved, and videos that are sent back get another take."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engine_support import PRICE, Studio, caps, errors_of, jobs_of, request_of, studio

from wan_assets.engine import Limits, Outcome, VideoJob
from wan_assets.errors import DecisionError, NotApprovedError, TaskUnknownError
from wan_assets.ledger import Approval, Decision, DecisionValue, NewDecision, Origin, VideoKey
from wan_assets.models import request_of_take


def key_of(outcome: Outcome, result: int = 1) -> VideoKey:
    assert outcome.stored is not None
    return VideoKey(outcome.stored.fingerprint, outcome.stored.videos[result - 1].sha256, result)


def decide(made: Studio, outcomes: Sequence[Outcome], value: str, **details: Any) -> list[Decision]:
    new = [NewDecision(key_of(each), DecisionValue(value), "ada", **details) for each in outcomes]
    with made.ledger() as ledger:
        return ledger.decide(new)


def final_of(outcome: Outcome) -> VideoJob:
    """The job of a final, in another resolution than its draft."""
    video = key_of(outcome)
    approval = Approval(video.fingerprint, video.sha256, video.result, is_simulated=True, name=outcome.job.prompt_id)
    final = request_of(outcome.job.request.prompt, resolution="1080p")
    return VideoJob(final, outcome.job.partition, outcome.job.prompt_id, approval)


@pytest.mark.parametrize("value", ["", "rejected", "retake", "undecided"])
def test_a_final_of_a_draft_that_is_not_approved_is_neither_reserved_nor_submitted(tmp_path: Path, value: str) -> None:
    with studio(tmp_path) as made:
        drafts = made.run(jobs_of(1))
        if value:
            decide(made, drafts, "approved")
            decide(made, drafts, value)
        (refused,) = made.run([final_of(drafts[0])])

        assert isinstance(refused.error, NotApprovedError)
        assert made.journal.submissions() == 1
    assert made.states() == ["stored"]


@pytest.mark.slow
def test_a_final_of_an_approved_draft_is_bought_once(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        drafts = made.run(jobs_of(1))
        decide(made, drafts, "rejected")
        decide(made, drafts, "approved")
        runs = [made.run([final_of(drafts[0])]) for _ in range(2)]

        assert [errors_of(run) for run in runs] == [[""], [""]]
        assert made.paid == 2


@pytest.mark.slow
def test_a_final_that_was_bought_is_kept_when_its_approval_is_withdrawn(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        drafts = made.run(jobs_of(1))
        decide(made, drafts, "approved")
        made.run([final_of(drafts[0])])
        decide(made, drafts, "rejected")
        (kept,) = made.run([final_of(drafts[0])])

        assert kept.is_reused
        assert made.paid == 2


def test_an_approval_that_is_withdrawn_while_the_api_is_busy_stops_the_final_and_frees_its_reservation(
    tmp_path: Path,
) -> None:
    with studio(tmp_path) as made:
        drafts = made.run(jobs_of(1))
        decide(made, drafts, "approved")
    with studio(tmp_path, faults={"rate_limit": 1.0}, repeats=True) as made:
        finals = [final_of(drafts[0])]
        outcomes = made.run_while_busy(finals, lambda: decide(made, drafts, "rejected"))

        assert errors_of(outcomes) == ["NotApprovedError"]
        assert made.paid == 1
    assert made.states() == ["stored", "rejected"]
    assert made.rows("SELECT sum(reserved_microusd) FROM wan_tasks") == [(0,)]


@pytest.mark.parametrize("value", ["undecided", "approved"])
def test_a_take_that_nobody_wants_any_more_is_not_submitted_while_the_api_is_busy(tmp_path: Path, value: str) -> None:
    with studio(tmp_path) as made:
        first = made.run(jobs_of(1))
        decide(made, first, "retake")
    with studio(tmp_path, faults={"rate_limit": 1.0}, repeats=True) as made:
        outcomes = made.run_while_busy(jobs_of(1), lambda: decide(made, first, value))

        assert errors_of(outcomes) == ["UnwantedTakeError"]
        (again,) = made.run(jobs_of(1))

        assert again.is_reused
        assert made.paid == 1
    assert made.states() == ["stored", "rejected"]


@pytest.mark.slow
def test_a_video_that_is_regenerated_is_newer_than_another_take(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        decide(made, made.run(jobs_of(1)), "retake")
        made.run(jobs_of(1))
        (regenerated,) = made.run(jobs_of(1), origin=Origin(purchase="new"))
        (kept,) = made.run(jobs_of(1))
        decide(made, [kept], "retake")
        (third,) = made.run(jobs_of(1))

        assert made.paid == 4
    assert (kept.job.take, kept.stored) == (1, regenerated.stored)
    assert third.job.take == 3


@pytest.mark.slow
def test_of_two_rows_with_the_same_final_the_one_with_an_approved_draft_is_bought(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        drafts = made.run(jobs_of(2))
        decide(made, drafts[1:], "approved")
        first, second = map(final_of, drafts)
        refused, bought = made.run([first, replace(second, request=first.request)])

        assert errors_of([refused, bought]) == ["NotApprovedError", ""]
        assert made.paid == 3


def test_a_simulated_draft_approves_no_real_purchase(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        drafts = made.run(jobs_of(1))
        decide(made, drafts, "approved")
        final = final_of(drafts[0])
        assert final.approval is not None
        origin = Origin(approval=final.approval.as_text())
        with made.ledger() as ledger, pytest.raises(NotApprovedError, match="simulated"):
            ledger.claim(final.request, origin, "owner", simulated=False)
    assert made.states() == ["stored"]


def test_a_decision_about_an_unknown_video_is_refused(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        (draft,) = made.run(jobs_of(1))
        video = key_of(draft)
        for other in (video._replace(sha256="0" * 64), video._replace(fingerprint="0" * 64), video._replace(result=2)):
            with made.ledger() as ledger, pytest.raises(DecisionError):
                ledger.decide([NewDecision(other, DecisionValue.APPROVED, "ada")])
    assert made.rows("SELECT count(*) FROM wan_decisions") == [(0,)]


@pytest.mark.slow
def test_a_video_that_is_sent_back_gets_another_take_once(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        first = made.run(jobs_of(2))
        decide(made, first[:1], "retake")
        second, third = made.run(jobs_of(2)), made.run(jobs_of(2))

        assert made.paid == 3
    take = request_of_take(first[0].job.request, 2)
    assert [outcome.job.request for outcome in second] == [take, first[1].job.request]
    assert [outcome.is_reused for outcome in second] == [False, True]
    assert [outcome.stored for outcome in third] == [outcome.stored for outcome in second]
    assert made.rows("SELECT take FROM wan_tasks ORDER BY created_at, attempt") == [(1,), (1,), (2,)]


def test_the_approved_take_is_the_video_of_the_row(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        first = made.run(jobs_of(1))
        decide(made, first, "retake")
        second = made.run(jobs_of(1))
        decide(made, first, "approved")
        third = made.run(jobs_of(1))
        decide(made, second, "approved")
        fourth = made.run(jobs_of(1))

        assert made.paid == 2
    assert [run[0].job.take for run in (first, second, third, fourth)] == [1, 2, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize(("limits", "takes"), [(Limits(max_takes=1), 1), (Limits(max_takes=2), 2), (Limits(), 3)])
def test_a_row_has_at_most_the_given_number_of_takes(tmp_path: Path, limits: Limits, takes: int) -> None:
    with studio(tmp_path) as made:
        for _ in range(5):
            decide(made, made.run(jobs_of(1), limits=limits), "retake")

        assert made.paid == takes


def test_rejected_videos_are_generated_again_only_if_that_is_set(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        decide(made, made.run(jobs_of(1)), "rejected")
        made.run(jobs_of(1))
        assert made.paid == 1
        made.run(jobs_of(1), limits=Limits(retake_rejected=True))
        assert made.paid == 2


@pytest.mark.slow
def test_takes_have_a_budget_of_their_own(tmp_path: Path) -> None:
    budget = caps(retakes_microusd=PRICE)
    with studio(tmp_path) as made:
        first = made.run(jobs_of(3), budget=budget)
        decide(made, first, "retake")
        second = made.run(jobs_of(3), budget=budget)

        assert made.paid == 4
    assert sorted(errors_of(second)) == ["", "BudgetExceededError", "BudgetExceededError"]
    assert made.rows("SELECT committed_microusd FROM wan_spend WHERE scope = 'simulated retakes'") == [(PRICE,)]


def _left_reserved(made: Studio, job: VideoJob) -> None:
    """Reserves the task of a job for a process that ends before the submission."""
    approval = job.approval.as_text() if job.approval else None
    with made.ledger() as ledger:
        ledger.claim(job.request, Origin(approval=approval), "ended", simulated=True)
        ledger.release_leases("ended")


@pytest.mark.slow
def test_a_final_continues_a_task_that_another_row_reserved_only_while_its_own_draft_is_approved(
    tmp_path: Path,
) -> None:
    with studio(tmp_path) as made:
        drafts = made.run(jobs_of(1))
        decide(made, drafts, "approved")
        final = final_of(drafts[0])
        _left_reserved(made, replace(final, approval=None))
        decide(made, drafts, "rejected")
        (refused,) = made.run([final])
        submissions = made.journal.submissions()
        decide(made, drafts, "approved")
        (bought,) = made.run([final])

        assert (errors_of([refused]), submissions) == (["NotApprovedError"], 1)
        assert bought.stored
        assert made.paid == 2


@pytest.mark.slow
def test_a_task_that_a_withdrawn_final_reserved_is_bought_for_another_final_whose_draft_is_approved(
    tmp_path: Path,
) -> None:
    with studio(tmp_path) as made:
        drafts = made.run(jobs_of(2))
        decide(made, drafts, "approved")
        first, second = map(final_of, drafts)
        _left_reserved(made, first)
        decide(made, drafts[:1], "rejected")
        (bought,) = made.run([replace(second, request=first.request)])

        assert bought.stored
        assert made.paid == 3
    assert made.rows("SELECT sum(reserved_microusd) FROM wan_tasks") == [(0,)]
    ((approval,),) = made.rows("SELECT approval FROM wan_tasks WHERE approval IS NOT NULL")
    assert Approval.of_text(approval).video == key_of(drafts[1])


def test_an_approval_can_be_withdrawn_while_its_draft_is_bought_again(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        drafts = made.run(jobs_of(1))
        decide(made, drafts, "approved")
        final = final_of(drafts[0])
        with made.ledger() as ledger:
            ledger.claim(drafts[0].job.request, Origin(purchase="new-look"), "other", simulated=True)
            (takes,) = ledger.takes([key_of(drafts[0]).fingerprint], simulated=True).values()
        decide(made, drafts, "rejected")
        (refused,) = made.run([final])

        assert takes.chosen.value == "approved"
        assert errors_of([refused]) == ["NotApprovedError"]
        assert made.journal.submissions() == 1


@pytest.mark.parametrize("change", [{"fingerprint": "not hexadecimal"}, {"sha256": "None"}, {"fingerprint": ""}])
def test_a_decision_whose_hashes_are_none_is_refused(change: dict[str, str]) -> None:
    video = VideoKey("0" * 64, "0" * 64)._replace(**change)
    with pytest.raises(DecisionError, match="names no video"):
        NewDecision(video, DecisionValue.APPROVED, "ada")


@pytest.mark.parametrize("value", ["approved", "undecided"])
def test_a_take_that_was_not_submitted_is_not_bought_when_nobody_wants_it_any_more(tmp_path: Path, value: str) -> None:
    with studio(tmp_path) as made:
        first = made.run(jobs_of(1))
        decide(made, first, "retake")
        origin = Origin(take=2, row_fingerprint=key_of(first[0]).fingerprint)
        take = request_of_take(first[0].job.request, 2)
        with made.ledger() as ledger:
            ledger.claim(take, origin, "ended", simulated=True)
            ledger.release_leases("ended")
        decide(made, first, value)
        (unchanged,) = made.run(jobs_of(1))
        decide(made, first, "retake")
        (again,) = made.run(jobs_of(1))

        assert unchanged.stored == first[0].stored
        assert again.job.request == take
        assert made.paid == 2


def test_a_lost_take_is_not_bought_again_when_another_take_is_approved(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        first = made.run(jobs_of(1))
        decide(made, first, "retake")
    with studio(tmp_path, faults={"lost_task": 1.0}) as made:
        (lost,) = made.run(jobs_of(1), limits=Limits(max_wait_s=0.5))
        decide(made, first, "approved")
        (unchanged,) = made.run(jobs_of(1), limits=Limits(max_wait_s=0.5, on_lost="resubmit"))

        assert isinstance(lost.error, TaskUnknownError)
        assert unchanged.stored == first[0].stored
        assert made.paid == 2
