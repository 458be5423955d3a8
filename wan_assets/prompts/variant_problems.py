"""Problems of the variants of one row: those that all of them have are reported once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from wan_assets.prompts.problems import Problem
from wan_assets.prompts.variant_options import SEPARATOR
from wan_assets.prompts.variant_parts import Experiment


def problems_by_variant(found: Iterable[Sequence[Problem]], experiment: Experiment) -> list[Problem]:
    """Returns the problems of the variants of one row: once if all variants have them, and else with the variant."""
    problems = [problem for each in found for problem in each]
    counts: dict[tuple[str, ...], int] = {}
    for problem in problems:
        counts[_kind(problem)] = counts.get(_kind(problem), 0) + 1
    shared = {kind for kind, count in counts.items() if count >= experiment.variants}
    once = {_kind(each): replace(each, prompt_id=experiment.prompt_id) for each in problems if _kind(each) in shared}
    single = (_with_variant(each, experiment) for each in problems if _kind(each) not in shared)
    return [*once.values(), *single]


def _kind(problem: Problem) -> tuple[str, ...]:
    return problem.column, problem.value, problem.rule, problem.fix


def _with_variant(problem: Problem, experiment: Experiment) -> Problem:
    variant = (problem.prompt_id or "").removeprefix(f"{experiment.prompt_id}{SEPARATOR}")
    return replace(problem, variant=variant)
