"""Records the tags of runs, which budgets and reports use."""

from __future__ import annotations

import json
from collections.abc import Mapping

import sqlalchemy as sa

from wan_assets.ledger.schema import given, insert_into, run_tags

_OF_RUN = sa.select(run_tags.c.tags).where(run_tags.c.run_id == given(run_tags.c.run_id))


def tags_of_run(connection: sa.Connection, run_id: str) -> dict[str, str]:
    """Returns the tags of a run; none if it has recorded none."""
    found = connection.execute(_OF_RUN, {"given_run_id": run_id}).scalar()
    return dict(json.loads(found)) if found else {}


def record_tags_of_run(connection: sa.Connection, run_id: str, tags: Mapping[str, str]) -> None:
    """Records the tags of a run, unless it has recorded some: its tasks keep counting where they count."""
    text = json.dumps(dict(tags), ensure_ascii=False, sort_keys=True)
    new = insert_into(connection.dialect.name, run_tags).values(run_id=run_id, tags=text)
    connection.execute(new.on_conflict_do_nothing())
