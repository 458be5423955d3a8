"""Joins the tasks with the decisions about their videos: how many are approved, and who decided."""

from __future__ import annotations

import sqlalchemy as sa

from wan_assets.ledger.decisions import DecisionValue
from wan_assets.ledger.records import TaskState
from wan_assets.ledger.schema import decisions, tasks

_later = tasks.alias("later")


def reviewed_tasks(dialect: str) -> sa.CTE:
    """Returns a query of the tasks with a decision about a stored video: `task_uuid`, `approved`, `decision`.

    `approved` counts videos whose latest decision approves them, and that are still the videos of their request.
    `decision` is the number of one decision, so that a task with several videos has one reviewer: its latest approval,
    or else its latest decision other than `undecided`.
    """
    its = _decided_videos(dialect)
    is_approved = its.c.value == DecisionValue.APPROVED
    approval = sa.func.max(sa.case((is_approved, its.c.number)))
    other = sa.func.max(sa.case((its.c.value != DecisionValue.UNDECIDED, its.c.number)))
    counted = sa.func.sum(sa.case((is_approved & ~its.c.is_replaced, 1), else_=0))
    return (
        sa.select(its.c.task_uuid, counted.label("approved"), sa.func.coalesce(approval, other).label("decision"))
        .group_by(its.c.task_uuid)
        .cte("reviewed_tasks")
    )


def _decided_videos(dialect: str) -> sa.Subquery:
    """Returns a query of the stored videos with their latest decision, and whether a newer task replaced them."""
    video = (decisions.c.fingerprint, decisions.c.sha256, decisions.c.result)
    latest = sa.select(sa.func.max(decisions.c.number).label("number")).group_by(*video).subquery("latest")
    is_replaced = sa.exists().where(
        _later.c.fingerprint == tasks.c.fingerprint,
        _later.c.is_simulated == tasks.c.is_simulated,
        _later.c.attempt > tasks.c.attempt,
        _later.c.state == TaskState.STORED,
    )
    is_its_own = (tasks.c.fingerprint == decisions.c.fingerprint) & (_sha256_of_result(dialect) == decisions.c.sha256)
    return (
        sa.select(tasks.c.task_uuid, decisions.c.number, decisions.c.value, is_replaced.label("is_replaced"))
        .join_from(latest, decisions, latest.c.number == decisions.c.number)
        .join(tasks, is_its_own & (tasks.c.state == TaskState.STORED))
        .subquery("decided_videos")
    )


def _sha256_of_result(dialect: str) -> sa.ColumnElement[str]:
    """Returns the hash of the file that a decision is about, from the results of a task."""
    place = sa.cast(decisions.c.result - 1, sa.Text)
    if dialect == "postgresql":
        return sa.func.json_extract_path_text(sa.cast(tasks.c.results, sa.JSON), place, "sha256")
    return sa.func.json_extract(tasks.c.results, sa.literal("$[").concat(place).concat("].sha256"))
