"""Policies: rules that decide about videos without a person."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from wan_assets.errors import ApprovalPolicyError

RuleDecision = Literal["approved", "rejected", "retake", "person"]

_Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class CheckedVideo:
    """The results of the checks of one video, by the name of the check.

    `failures` are the messages of the checks that failed. `unfinished` are checks that ended with an error.
    """

    passed: frozenset[str]
    failures: Mapping[str, str]
    unfinished: frozenset[str]
    scores: Mapping[str, float]


class ApprovalRule(BaseModel):
    """One rule of a policy. It applies to a video that fulfils all of its conditions.

    Args:
        decision: "approved"; "rejected"; "retake", which asks for another take of the row; or "person", who decides.
        all_checks_pass: Requires that no check of the video fails or ends with an error. A check that was not measured
            counts as passed.
        passed_checks: Requires that each of these checks was measured and passes.
        failed_checks: Requires that at least one of these checks fails.
        min_scores: Requires a score of at least this value, by the name of the check. A missing score is no score.
        max_scores: Requires a score of at most this value, by the name of the check.
        explanation: Note of the decisions. The default names the checks that failed.

    Raises:
        pydantic.ValidationError: A field does not exist or is not valid, or the rule approves every video.

    Example:
        >>> from wan_assets import ApprovalRule
        >>> print(ApprovalRule(decision="approved", all_checks_pass=True, min_scores={"aesthetic": 0.7}))
        approved if all checks pass, aesthetic >= 0.7
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision: RuleDecision
    all_checks_pass: bool = False
    passed_checks: tuple[_Name, ...] = ()
    failed_checks: tuple[_Name, ...] = ()
    min_scores: dict[_Name, FiniteFloat] = Field(default_factory=dict)
    max_scores: dict[_Name, FiniteFloat] = Field(default_factory=dict)
    explanation: _Text = ""

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if self.decision == "approved" and not list(self._conditions()):
            raise ValueError("a rule that approves needs a condition, or it would approve every video")
        if self.all_checks_pass and self.failed_checks:
            raise ValueError("all_checks_pass and failed_checks contradict each other")
        return self

    def __str__(self) -> str:
        """Returns the rule in one line, as decisions record it."""
        return f"{self.decision} if {', '.join(self._conditions()) or 'no other rule applies'}"

    @property
    def checks(self) -> tuple[str, ...]:
        """The checks whose result the rule needs."""
        return (*self.passed_checks, *self.failed_checks)

    @property
    def scores(self) -> tuple[str, ...]:
        """The checks whose score the rule needs."""
        return tuple(dict.fromkeys((*self.min_scores, *self.max_scores)))

    def matches(self, video: CheckedVideo) -> bool:
        """Returns whether the rule applies to a video."""
        scores = video.scores
        return (
            not (self.all_checks_pass and (video.failures or video.unfinished))
            and video.passed.issuperset(self.passed_checks)
            and (not self.failed_checks or not video.failures.keys().isdisjoint(self.failed_checks))
            and all(name in scores and scores[name] >= least for name, least in self.min_scores.items())
            and all(name in scores and scores[name] <= most for name, most in self.max_scores.items())
        )

    def note(self, video: CheckedVideo) -> str:
        """Returns the note of a decision about a video."""
        failed = [name for name in self.failed_checks if name in video.failures]
        return self.explanation or "; ".join(f"{name}: {video.failures[name]}" for name in failed)

    def _conditions(self) -> Iterator[str]:
        if self.all_checks_pass:
            yield "all checks pass"
        yield from (f"{name} passes" for name in self.passed_checks)
        if self.failed_checks:
            yield f"{' or '.join(self.failed_checks)} fails"
        yield from (f"{name} >= {least:g}" for name, least in self.min_scores.items())
        yield from (f"{name} <= {most:g}" for name, most in self.max_scores.items())


class ApprovalPolicy(BaseModel):
    """Rules that decide about videos for which no person is needed. The first rule that applies decides.

    A person decides about videos to which no rule applies. `wan-assets review TABLE --policy FILE` applies a policy. It
    never changes a decision of a person.

    Args:
        rules: The rules, in order.
        person_share: Share of the videos, from 0 to 1, that a rule would decide about and that go to a person anyway.
            They are chosen by the file and the name of the policy, so that repeated runs choose the same videos.
        name: Name of the policy. Its decisions have the reviewer `policy <name>`.

    Raises:
        pydantic.ValidationError: A field does not exist or is not valid.

    Example:
        >>> from wan_assets import ApprovalPolicy, ApprovalRule
        >>> policy = ApprovalPolicy(
        ...     rules=[
        ...         ApprovalRule(decision="rejected", failed_checks=["not_black", "not_frozen"]),
        ...         ApprovalRule(decision="approved", all_checks_pass=True, min_scores={"aesthetic": 0.7}),
        ...     ],
        ...     person_share=0.1,
        ... )
        >>> print(policy.rules[0])
        rejected if not_black or not_frozen fails
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[ApprovalRule, ...] = Field(min_length=1, max_length=100)
    person_share: float = Field(default=0.0, ge=0, le=1)
    name: _Name = "default"

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a policy from a TOML file with the fields of the class.

        Args:
            path: Path of the file. Each rule is a table `[[rules]]`.

        Returns:
            The policy.

        Raises:
            ApprovalPolicyError: The file cannot be read, or does not describe a policy.
        """
        try:
            with Path(path).open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
            if len(content) > _MAX_BYTES:
                raise ApprovalPolicyError(f"the policy {path} has more than {_MAX_BYTES:,} bytes")
            return cls.model_validate(tomllib.loads(content.decode()))
        except OSError as error:
            raise ApprovalPolicyError(f"the policy {path} cannot be read: {error.strerror or error}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ApprovalPolicyError(f"the policy {path} is not valid TOML: {error}") from None
        except ValidationError as error:
            found = error.errors(include_url=False)
            wrong = (f"{_place(each['loc'])}{_message(each)}" for each in found)
            raise ApprovalPolicyError(f"the policy {path} is not valid: {'; '.join(wrong)}") from None

    @property
    def reviewer(self) -> str:
        """The reviewer of its decisions."""
        return f"policy {self.name}"

    def rule_for(self, video: CheckedVideo) -> ApprovalRule | None:
        """Returns the first rule that applies to a video; None if a person decides."""
        return next((rule for rule in self.rules if rule.matches(video)), None)

    def samples(self, sha256: str) -> bool:
        """Returns whether a file belongs to the share that goes to a person anyway."""
        digest = hashlib.sha256(f"person\n{self.name}\n{sha256}".encode()).digest()
        return int.from_bytes(digest[:8]) < self.person_share * 2**64


def _message(error: ErrorDetails) -> str:
    """Returns what is wrong at a place of a file."""
    return "unknown field" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")


def _place(location: tuple[int | str, ...]) -> str:
    """Returns the place of a fault in a file; rules are counted from 1."""
    text = ", ".join(f"{part + 1}" if isinstance(part, int) else part for part in location)
    return f"{text.replace('rules, ', 'rule ', 1)}: " if text else ""
