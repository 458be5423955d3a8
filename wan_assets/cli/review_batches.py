"""Decisions of a file or of a policy, recorded by `wan-assets review`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from wan_assets.cli.display import counted, printable, show_json, show_table
from wan_assets.cli.review_actions import Review, name_of
from wan_assets.dataset import (
    ApprovalPolicy,
    DecisionFile,
    FileDecision,
    InvalidDecision,
    PolicyResult,
    RuleCount,
    apply_policy,
    record_decisions,
)
from wan_assets.ledger import Ledger

_PLACES_SHOWN = 20


@dataclass
class Import:
    """The decisions of a file: those that are recorded, and those that are not, with their places from 1.

    `recorded_before` are decisions whose key the ledger has. `unknown` are about videos that the ledger does not have.
    `replaced_later` are recorded ones that replace a decision of a later time.
    """

    recorded: list[FileDecision] = field(default_factory=list)
    recorded_before: list[FileDecision] = field(default_factory=list)
    unknown: list[FileDecision] = field(default_factory=list)
    invalid: list[InvalidDecision] = field(default_factory=list)
    replaced_later: list[FileDecision] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether the ledger has all decisions of the file."""
        return not self.unknown and not self.invalid


def import_file(ledger: Ledger, path: Path, *, is_dry_run: bool, as_json: bool) -> bool:
    """Records the decisions of a file once; returns whether the ledger has all of them."""
    found = _sorted(ledger, DecisionFile.read(path))
    if not is_dry_run:
        record_decisions(ledger, [each.new for each in found.recorded])
    if as_json:
        show_json(_import_json(found, is_dry_run=is_dry_run))
    else:
        _show_import(found, is_dry_run=is_dry_run)
    return found.is_complete


def apply(review: Review, path: Path, *, is_dry_run: bool, as_json: bool) -> None:
    """Records what the policy of a file decides."""
    policy = ApprovalPolicy.load(path)
    entries = list(review.entries())
    result = apply_policy(entries, policy)
    recorded = [] if is_dry_run else record_decisions(review.ledger, result.decisions)
    by_others = 0 if is_dry_run else len(result.decisions) - len(recorded)
    names = {entry.key: name_of(entry) for entry in entries}
    if as_json:
        show_json({**_policy_json(result, names, is_dry_run=is_dry_run), "decided_meanwhile": by_others})
        return
    _show_policy(result, is_dry_run=is_dry_run)
    if by_others:
        click.echo(f"{counted(by_others, 'decision')} not recorded: a person decided meanwhile")


def _sorted(ledger: Ledger, file: DecisionFile) -> Import:
    """Returns which decisions of a file are new, which are recorded, and which cannot be."""
    keys = ledger.recorded_keys({each.new.key for each in file.decisions})
    videos = {each.new.video for each in file.decisions}
    unknown, before = ledger.unknown_videos(videos), ledger.decisions(videos)
    found = Import(invalid=file.invalid)
    for each in file.decisions:
        if each.new.key in keys:
            found.recorded_before.append(each)
        elif each.new.video in unknown:
            found.unknown.append(each)
        else:
            keys.add(each.new.key)
            found.recorded.append(each)
            if each.is_before(before.get(each.new.video, ())):
                found.replaced_later.append(each)
    return found


def _show_import(found: Import, *, is_dry_run: bool) -> None:
    recorded = "would be recorded" if is_dry_run else "recorded"
    click.echo(f"{counted(len(found.recorded), 'decision')} {recorded}, {len(found.recorded_before):,} recorded before")
    if found.replaced_later:
        places = _places([each.place for each in found.replaced_later])
        replace = "replaces" if len(found.replaced_later) == 1 else "replace"
        click.echo(f"{len(found.replaced_later):,} of them {replace} a decision that was made later: {places}")
    if found.unknown:
        places = _places([each.place for each in found.unknown])
        click.echo(f"{counted(len(found.unknown), 'decision')} about a video that the ledger does not have: {places}")
    for item in found.invalid[:_PLACES_SHOWN]:
        click.echo(f"decision {item.place:,} is not valid: {printable(item.reason)}")
    if len(found.invalid) > _PLACES_SHOWN:
        click.echo(f"... and {len(found.invalid) - _PLACES_SHOWN:,} more; --json lists all")


def _import_json(found: Import, *, is_dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": is_dry_run,
        "recorded": len(found.recorded),
        "recorded_before": len(found.recorded_before),
        "replaced_later": [_place_json(each) for each in found.replaced_later],
        "unknown": [_place_json(each) for each in found.unknown],
        "invalid": [{"place": item.place, "reason": item.reason} for item in found.invalid],
    }


def _place_json(each: FileDecision) -> dict[str, Any]:
    return {"place": each.place, **each.new.video._asdict(), "decision": each.new.value}


def _places(places: Sequence[int]) -> str:
    more = f" and {len(places) - _PLACES_SHOWN:,} more" if len(places) > _PLACES_SHOWN else ""
    noun = "decision" if len(places) == 1 else "decisions"
    return f"{noun} {', '.join(f'{place:,}' for place in places[:_PLACES_SHOWN])}{more} of the file"


def _show_policy(result: PolicyResult, *, is_dry_run: bool) -> None:
    rows = [
        (printable(str(count.rule)), f"{count.matched:,}", f"{count.sampled:,}" if result.policy.person_share else "")
        for count in result.rules
    ]
    rows.append(("person, because no rule applies", f"{result.without_rule:,}", ""))
    columns = ("rule", "matched", "to a person")
    title = f"Policy {printable(result.policy.name)}"
    show_table(title, columns, rows, right=columns[1:], flexible=("rule",), folded=("rule",))
    for count in result.rules:
        for name in count.unknown:
            click.echo(f"the rule `{printable(str(count.rule))}` cannot apply: {printable(name)}")
    click.echo(f"{counted(result.videos, 'video')}: {result.by_person:,} decided by a person, ", nl=False)
    click.echo(f"{result.unchanged:,} decided by a policy before")
    made = ", ".join(f"{count:,} {value}" for value, count in result.counts.items() if count) or "none"
    click.echo(f"{'dry run: decisions that would be recorded' if is_dry_run else 'new decisions'}: {made}")


def _policy_json(result: PolicyResult, names: dict[Any, str], *, is_dry_run: bool) -> dict[str, Any]:
    return {
        "policy": result.policy.name,
        "dry_run": is_dry_run,
        "videos": result.videos,
        "by_person": result.by_person,
        "without_rule": result.without_rule,
        "unchanged": result.unchanged,
        "counts": result.counts,
        "rules": [_rule_json(count) for count in result.rules],
        "decisions": [
            {
                "id": names[new.video],
                **new.video._asdict(),
                "decision": new.value,
                "rule": new.rule,
                "note": new.note,
            }
            for new in result.decisions
        ],
    }


def _rule_json(count: RuleCount) -> dict[str, Any]:
    return {
        "rule": str(count.rule),
        "decision": count.rule.decision,
        "matched": count.matched,
        "to_a_person": count.sampled,
        "unknown": list(count.unknown),
    }
