"""The application of a policy to the videos of a table: its decisions, and counts of what its rules matched."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from wan_assets.dataset.approval_policy import ApprovalPolicy, ApprovalRule, CheckedVideo
from wan_assets.dataset.entries import Entry
from wan_assets.dataset.quality import VIDEO_CHECKS, QualityResult, quality_results_of
from wan_assets.ledger import MAX_NOTE, Decision, DecisionValue, NewDecision, VideoKey
from wan_assets.models import closest_name

NO_RULE = "person, because no rule applies"
SAMPLED = "person, by person_share"


@dataclass
class RuleCount:
    """The videos that one rule matched, and how many of them go to a person by `person_share`.

    `unknown` names the checks of the rule of which no video has a result, or a score where the rule needs one.
    """

    rule: ApprovalRule
    matched: int = 0
    sampled: int = 0
    unknown: tuple[str, ...] = ()


@dataclass
class PolicyResult:
    """The outcome of a policy: the decisions to be recorded, and counts of videos.

    `by_person` are videos about which a person has decided, `without_rule` those to which no rule applies, and
    `unchanged` those about which a policy has decided the same before.
    """

    policy: ApprovalPolicy
    rules: tuple[RuleCount, ...]
    videos: int = 0
    by_person: int = 0
    without_rule: int = 0
    unchanged: int = 0
    decisions: list[NewDecision] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The number of decisions to be recorded, by decision."""
        found = Counter(decision.value for decision in self.decisions)
        return {value.value: found[value] for value in DecisionValue}


def apply_policy(entries: Iterable[Entry], policy: ApprovalPolicy) -> PolicyResult:
    """Returns what a policy decides about some videos; records nothing.

    Videos about which a person has decided are left out. A decision of a policy is replaced only by another decision;
    it is withdrawn if a person is to decide now.
    """
    result = PolicyResult(policy, tuple(RuleCount(rule) for rule in policy.rules))
    seen: set[VideoKey] = set()
    checks, scores = {*VIDEO_CHECKS}, set[str]()
    for entry in entries:
        if entry.key in seen:
            continue
        seen.add(entry.key)
        video = checked_video(entry)
        checks |= {*video.passed, *video.failures, *video.unfinished, *(check.check_name for check in entry.checks)}
        scores |= video.scores.keys()
        _add(result, entry, video)
    for count in result.rules:
        count.unknown = tuple(_unknown(count.rule, checks, scores))
    return result


def checked_video(entry: Entry) -> CheckedVideo:
    """Returns the results of all checks of one video: the built-in ones, and those that users define."""
    built_in = [result for result in _results_of(entry) if result.is_measured]
    failures = {result.name: result.message for result in built_in if not result.passed}
    passed = {result.name for result in built_in if result.passed}
    for check in entry.checks:
        if check.passed is False and not check.is_error:
            failures[check.check_name] = check.message or "failed"
        elif check.passed and not check.is_error:
            passed.add(check.check_name)
    scores = {each.check_name: each.score for each in entry.checks if each.score is not None and not each.is_error}
    unfinished = frozenset(check.check_name for check in entry.checks if check.is_error)
    return CheckedVideo(frozenset(passed), failures, unfinished, scores)


def _results_of(entry: Entry) -> Iterator[QualityResult]:
    """Yields the built-in checks of one video. Other results of its task do not matter, except for the cost."""
    task, stored = entry.dataset_row.task, entry.stored
    cost = stored.cost_microusd if task is None else task.known_cost_microusd
    alone = replace(stored, videos=(entry.video,), missing=())
    for result in quality_results_of(entry.request, alone, cost_microusd=cost or 0):
        if cost is not None or result.name != "cost_within_estimate":
            yield result


def _add(result: PolicyResult, entry: Entry, video: CheckedVideo) -> None:
    """Counts a video, and adds the decision about it if it is new."""
    result.videos += 1
    if any(decision.source != "policy" for decision in entry.decisions):
        result.by_person += 1
        return
    rule = result.policy.rule_for(video)
    is_sampled = rule is not None and rule.decision != "person" and result.policy.samples(entry.video.sha256)
    for count in result.rules:
        count.matched += count.rule is rule
        count.sampled += count.rule is rule and is_sampled
    result.without_rule += rule is None
    new = _decision(result.policy, None if is_sampled else rule, entry, video, SAMPLED if is_sampled else NO_RULE)
    last = entry.decisions[-1] if entry.decisions else None
    if (last.value if last else DecisionValue.UNDECIDED) is not new.value:
        result.decisions.append(replace(new, key=_key(new, last)))
    else:
        result.unchanged += last is not None


def _decision(
    policy: ApprovalPolicy, rule: ApprovalRule | None, entry: Entry, video: CheckedVideo, otherwise: str
) -> NewDecision:
    """Returns the decision of a rule; without one, or if it leaves the decision to a person, `undecided`."""
    is_decided = rule is not None and rule.decision != "person"
    return NewDecision(
        entry.key,
        DecisionValue(rule.decision) if rule and is_decided else DecisionValue.UNDECIDED,
        policy.reviewer,
        note=rule.note(video)[:MAX_NOTE] if rule else "",
        source="policy",
        rule=str(rule) if rule else otherwise,
    )


def _key(new: NewDecision, last: Decision | None) -> str:
    """Returns the same key in each process that applies the policy in the same state of the ledger."""
    content = [*new.video, new.value, new.reviewer, new.rule, last.number if last else 0]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _unknown(rule: ApprovalRule, checks: set[str], scores: set[str]) -> Iterator[str]:
    """Yields the names that no video has, each with the closest known name."""
    for name in rule.checks:
        if name not in checks:
            yield _named(name, "no video has such a check", checks)
    for name in rule.scores:
        if name not in scores:
            yield _named(name, "no video has a score of it", scores)


def _named(name: str, reason: str, known: Sequence[str] | set[str]) -> str:
    near = closest_name(name, sorted(known))
    return f"{name}: {reason}{f'; did you mean {near}?' if near else ''}"
