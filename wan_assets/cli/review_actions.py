"""The actions of `wan-assets review` without a browser: each reads the table, the store and the ledger."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import click

from wan_assets.cli.display import counted, printable, show_json, show_json_with_list, show_table
from wan_assets.cli.review_options import ReviewActions
from wan_assets.dataset import Entries, Entry, is_all_simulated
from wan_assets.errors import DecisionError, SelectionError
from wan_assets.ledger import Decision, DecisionValue, Ledger, NewDecision, VideoKey
from wan_assets.prompts import PromptRow, PromptTable, RowSelection
from wan_assets.store import VideoStore

_WITH_RESULT = re.compile(r"(.+):([0-9]{1,4})", re.DOTALL)
_HINT = "`wan-assets review TABLE --list` lists the ids. Nothing was recorded."


@dataclass(frozen=True)
class Review:
    """A table with its store and its ledger."""

    table: PromptTable
    store: VideoStore
    ledger: Ledger

    def entries(self, rows: Sequence[PromptRow] | None = None, *, all_takes: bool = False) -> Entries:
        """Returns the videos of the table, or of some of its rows."""
        simulated = is_all_simulated(self.table.rows, self.ledger)
        table = self.table if rows is None else PromptTable(tuple(rows), (), len(rows))
        return Entries(table, store=self.store, ledger=self.ledger, simulated=simulated, all_takes=all_takes)

    def rows_of(self, ids: Iterable[str]) -> list[PromptRow]:
        """Returns rows by their ids; raises `DecisionError` with the nearest id for an unknown one."""
        try:
            return RowSelection(ids=tuple(dict.fromkeys(ids))).of_table(self.table.rows)
        except SelectionError as error:
            raise _refused(str(error)) from None


def decide(review: Review, actions: ReviewActions, *, as_json: bool) -> None:
    """Records the decisions that the options name, all or none of them."""
    reviewer = actions.reviewer or _user()
    chosen = _chosen(review, actions)
    new = [
        NewDecision(entry.key, value, reviewer, rating=actions.rating, labels=actions.label, note=actions.note)
        for entry, value in chosen
    ]
    recorded = review.ledger.decide(new)
    pairs = [(entry, decision) for (entry, _), decision in zip(chosen, recorded, strict=True)]
    if as_json:
        show_json({"recorded": [_as_json(entry, decision) for entry, decision in pairs]})
        return
    for value in dict.fromkeys(value for _, value in chosen):
        names = [name_of(entry) for entry, decision in pairs if decision.value is value]
        click.echo(f"{value.value}: {counted(len(names), 'video')}: {printable(', '.join(names))}")


def show_list(review: Review, actions: ReviewActions, *, as_json: bool) -> None:
    """Shows the videos of the table with their decisions."""
    entries = review.entries()
    counts = dict.fromkeys(DecisionValue, 0)
    found = []
    for entry in entries:
        value = entry.decision.value if entry.decision else DecisionValue.UNDECIDED
        counts[value] += 1
        if actions.only in (None, value):
            found.append(entry)
    totals = {"videos": entries.totals.rows, **{value.value: count for value, count in counts.items()}}
    problems = review.table.row_count - len(review.table.rows)
    content = {
        **totals,
        "missing": entries.totals.missing,
        "problems": problems,
        "simulated": entries.is_simulated,
    }
    if as_json:
        show_json_with_list(content, "list", (_as_json(entry, entry.decision) for entry in found))
        return
    rows = [(_id_of(entry), str(entry.take) if entry.take > 1 else "", *_cells(entry.decision)) for entry in found]
    _show("Videos", ("id", "take", "decision", "rating", "labels", "reviewer", "note"), rows)
    click.echo(", ".join(f"{count:,} {value.value}" for value, count in counts.items()))
    if entries.totals.missing:
        click.echo(f"{counted(entries.totals.missing, 'row has', 'rows have')} no video")
    if problems:
        click.echo(f"{counted(problems, 'row')} with problems left out; `wan-assets plan FILE` lists the problems")


def show_history(review: Review, prompt_id: str, *, as_json: bool) -> None:
    """Shows all decisions about all takes of a row."""
    entries = list(review.entries(review.rows_of([prompt_id]), all_takes=True))
    pairs = [(entry, decision) for entry in entries for decision in entry.decisions]
    pairs.sort(key=lambda pair: pair[1].number)
    if as_json:
        show_json({"prompt_id": prompt_id, "decisions": [_as_json(*pair) for pair in pairs]})
        return
    rows = [
        (decision.decided_at[:19].replace("T", " "), name_of(entry), *_cells(decision), _origin(decision))
        for entry, decision in pairs
    ]
    columns = ("decided (UTC)", "video", "decision", "rating", "labels", "reviewer", "note", "source")
    _show(f"Decisions about {printable(prompt_id)}", columns, rows)
    click.echo(f"{counted(len(pairs), 'decision')} about {counted(len(entries), 'video')} of {printable(prompt_id)}")


def name_of(entry: Entry) -> str:
    """Returns the id under which options name a video, with its take if it is not the first."""
    return f"{_id_of(entry)} (take {entry.take})" if entry.take > 1 else _id_of(entry)


class _Target(NamedTuple):
    """A row, and the number of one of its results, or 0 for all of them."""

    prompt_id: str
    result: int = 0


def _chosen(review: Review, actions: ReviewActions) -> list[tuple[Entry, DecisionValue]]:
    """Returns each video that the options name, with the decision about it; raises `DecisionError` if it has two."""
    known = {row.prompt_id for row in review.table.rows}
    wanted = [(_target(given, known), value) for given, value in actions.decided]
    rows = review.rows_of(target.prompt_id for target, _ in wanted)
    entries = list(review.entries(rows, all_takes=actions.take is not None))
    chosen: dict[VideoKey, tuple[Entry, DecisionValue]] = {}
    for target, value in wanted:
        for entry in _videos(entries, target, actions.take):
            _, other = chosen.setdefault(entry.key, (entry, value))
            if other is not value:
                raise _refused(f"two decisions about {name_of(entry)} are given: {other.value} and {value.value}")
    return list(chosen.values())


def _target(given: str, known: set[str]) -> _Target:
    """Returns the target of an id; an id of the table that looks like ID:NUMBER is that row."""
    named = _WITH_RESULT.fullmatch(given)
    return _Target(given) if given in known or not named else _Target(named[1], int(named[2]))


def _videos(entries: Sequence[Entry], target: _Target, take: int | None) -> list[Entry]:
    """Returns the videos of a target; raises `DecisionError` if there are none."""
    of_row = [entry for entry in entries if entry.dataset_row.row.prompt_id == target.prompt_id]
    of_take = [entry for entry in of_row if take in (None, entry.take)]
    found = [entry for entry in of_take if target.result in (0, entry.number)]
    if not of_row:
        raise _refused(f"the row {target.prompt_id} has no video")
    if not of_take:
        takes = ", ".join(str(number) for number in sorted({entry.take for entry in of_row}))
        raise _refused(f"the row {target.prompt_id} has no take {take}; its takes are {takes}")
    if not found:
        raise _refused(f"the row {target.prompt_id} has no result {target.result}; it has {len(of_take)}")
    return found


def _refused(reason: str) -> DecisionError:
    error = DecisionError(reason)
    error.hint = _HINT
    return error


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise _refused("the name of the user is unknown: pass --reviewer") from None


def _id_of(entry: Entry) -> str:
    result = f":{entry.number}" if len(entry.stored.videos) > 1 else ""
    return f"{entry.dataset_row.row.prompt_id}{result}"


def _show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table without its empty columns."""
    used = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    names = [columns[at] for at in used]
    flexible = [name for name in ("id", "video", "note", "source") if name in names]
    right = [name for name in ("take", "rating") if name in names]
    if rows:
        show_table(title, names, [[row[at] for at in used] for row in rows], right=right, flexible=flexible)


def _cells(decision: Decision | None) -> tuple[str, ...]:
    if decision is None:
        return ("undecided", "", "", "", "")
    rating = "" if decision.rating is None else str(decision.rating)
    return (decision.value.value, rating, ", ".join(decision.labels), decision.reviewer, decision.note)


def _origin(decision: Decision) -> str:
    return f"{decision.source}: {decision.rule}" if decision.rule else decision.source


def _as_json(entry: Entry, decision: Decision | None) -> dict[str, Any]:
    return {
        "prompt_id": entry.dataset_row.row.prompt_id,
        "result": entry.number,
        "take": entry.take,
        "fingerprint": entry.key.fingerprint,
        "sha256": entry.key.sha256,
        "uri": entry.video.uri,
        "decision": decision.value if decision else DecisionValue.UNDECIDED,
        "rating": decision.rating if decision else None,
        "labels": list(decision.labels) if decision else [],
        "note": decision.note if decision else "",
        "reviewer": decision.reviewer if decision else None,
        "decided_at": decision.decided_at if decision else None,
        "source": decision.source if decision else None,
        "rule": decision.rule if decision else "",
    }
