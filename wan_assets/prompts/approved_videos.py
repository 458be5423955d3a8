"""Approved drafts as a prompt table: each approved video of an asset is a row, with other settings for its final
version.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wan_assets.errors import PromptTableError
from wan_assets.models import (
    DRAFT_COLUMNS,
    MAX_SEED,
    VideoRequest,
    kept_duration,
    request_of_take,
    size_for_resolution,
)
from wan_assets.prompts.columns import FRAME_IMAGES, MODEL_COLUMN
from wan_assets.prompts.defaults import checked_defaults, nested
from wan_assets.prompts.problems import printable, shortened
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.settings import settings_from

if TYPE_CHECKING:  # the ledger needs SQLAlchemy, which other tables do without
    from wan_assets.ledger import Approval, Decision, Ledger, PartitionRow, Take, Takes, VideoKey
    from wan_assets.prompts.table import PromptTable

DRAFT, DRAFT_ASSET, DRAFT_RESULT, DRAFT_SEED, DRAFT_FINGERPRINT, DRAFT_SHA256, DRAFT_SIMULATED = DRAFT_COLUMNS[:7]
APPROVED_BY, APPROVED_AT, APPROVAL = DRAFT_COLUMNS[7:]

_SIZE = ("width", "height", "resolution")
_HEX = re.compile(r"[0-9a-f]{64}")
_RESULT = re.compile(r"[0-9]{1,4}")
_DESTINATIONS = frozenset({"webhook_url", "upload_endpoint"})
_NOT_COPIED = frozenset({"task_type", "task_uuid", "include_cost"}) | _DESTINATIONS
_FIX = "pass the table of the drafts to ApprovedVideos(prompts=…)"


class ApprovedRows(list[dict[str, Any]]):
    """The rows of approved drafts. Unlike other tables, this one may be empty."""


@dataclass(frozen=True, eq=False)
class ApprovedVideos:
    """A source of prompts in which each approved video of another asset is a row.

    Accepted wherever prompts are. A row has the settings of its draft with the `overrides`, and is submitted only while
    its draft is approved: the ledger refuses it otherwise, also if the approval is withdrawn during a run.

    Args:
        asset: Key of the videos asset of the drafts, such as "drafts" or "marketing/drafts", or its definition.
        overrides: Values that differ from the draft, such as `{"resolution": "1080p", "model": "wan2.6"}`.
        keep_seed: Whether the final has the seed that the API reported for the draft. A reported seed above
            2147483647, which no request can have, is replaced by one that is derived from the draft's file. Otherwise
            the model draws the seed.
        prompts: Table of the drafts. Needed if its rows have local files or addresses with secrets, and the drafts are
            not an asset of the same Dagster instance.
        ledger: Ledger with the decisions: its URL, or a `LedgerResource`. In Dagster, the resource `ledger` is used.
            The default is that of the environment.
        approved_for_s: Seconds for which a draft must have been approved before it is a row, such as 600, so that a
            mistake can be corrected before the final is bought.

    Raises:
        PromptTableError: An override does not exist, or has a value that is not valid in any row.

    Example:
        >>> from wan_assets import ApprovedVideos
        >>> ApprovedVideos("drafts", overrides={"resolution": "1080p"}).asset_name
        'drafts'
    """

    asset: Any
    overrides: Mapping[str, Any] = field(default_factory=dict)
    keep_seed: bool = True
    prompts: Any = None
    ledger: Any = None
    approved_for_s: float = 0.0

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "overrides", checked_defaults(self.overrides))
        except PromptTableError as error:
            raise PromptTableError(str(error).replace("defaults", "overrides", 1)) from None
        if refused := sorted(_DESTINATIONS.intersection(self.overrides)):
            raise PromptTableError(f"overrides: {refused[0]} has no effect, because all finals would be sent there")
        if not 0 <= self.approved_for_s < math.inf:
            raise PromptTableError(f"approved_for_s={self.approved_for_s} is not a number of seconds from 0")
        if not self.asset_name:
            raise PromptTableError("ApprovedVideos needs the key of the asset of the drafts, such as 'drafts'")

    @property
    def asset_name(self) -> str:
        """The key of the drafts as text, with slashes between its parts."""
        key = getattr(self.asset, "key", self.asset)
        if hasattr(key, "to_user_string"):
            return str(key.to_user_string())
        return key if isinstance(key, str) else "/".join(map(str, key))

    def opened_ledger(self) -> AbstractContextManager[Ledger]:
        """Opens the ledger with the decisions; raises `LedgerError`."""
        opened: Ledger
        if self.ledger is None or isinstance(self.ledger, str):
            url = self.ledger or settings_from(os.environ).ledger
            opened = import_module("wan_assets.ledger").Ledger(url, must_exist=True)
            return opened
        if hasattr(self.ledger, "open"):
            opened = self.ledger.open()
            return opened
        return nullcontext(self.ledger)

    def rows(
        self,
        ledger: Ledger,
        *,
        partitions: Collection[str] | None = None,
        table: PromptTable | None = None,
    ) -> ApprovedRows:
        """Returns a row for each approved draft, in the order of their partitions and rows.

        With `partitions`, only drafts of these partitions count. `table` has the requests of the drafts with their
        secrets and local files. Raises `PromptTableError` for a draft whose request is not known completely.
        """
        approved = ledger.partitions_with_approvals(self.asset_name)
        kept = [key for key in approved if partitions is None or key in partitions]
        records = ledger.recorded_partitions(self.asset_name, kept)
        drafts = [row for key in kept for row in records[key].rows]
        last = ledger.last_decision(self.approved_for_s)
        requests = {row.fingerprint: row.request for row in table.rows} if table else {}
        files = {reference: _below_root(path) for reference, path in table.media.items()} if table else {}
        return ApprovedRows(
            self._row(draft, _request_of(draft, requests, takes), takes.chosen, decision, files)
            for draft, takes, decision in _approved(drafts, ledger)
            if decision.number <= last
        )

    def _row(
        self, draft: PartitionRow, request: VideoRequest, take: Take, decision: Decision, files: Mapping[str, str]
    ) -> dict[str, Any]:
        if any(reference not in files for reference in request.uploads):
            raise _incomplete(draft, "a local file")
        result = decision.video.result
        name = draft.prompt_id if request.number_results == 1 else f"{draft.prompt_id}~result={result}"
        reported = take.task.results[result - 1].get("seed") if take.task else None
        is_distinct = self.keep_seed or request.number_results > 1
        seed = _seed_of(reported if self.keep_seed else None, decision.video.sha256) if is_distinct else None
        cells = with_overrides(request, {"seed": seed, "number_results": 1, **self.overrides})
        approval = {
            DRAFT: draft.prompt_id,
            DRAFT_ASSET: self.asset_name,
            DRAFT_RESULT: str(result),
            DRAFT_FINGERPRINT: decision.video.fingerprint,
            DRAFT_SHA256: decision.video.sha256,
            DRAFT_SEED: "" if reported is None else str(reported),
            DRAFT_SIMULATED: "yes" if draft.is_simulated else "no",
            APPROVED_BY: decision.reviewer,
            APPROVED_AT: decision.decided_at,
            APPROVAL: str(decision.number),
        }
        return {"prompt_id": name, **_with_paths(cells, files), **draft.extra, **approval}


def _request_of(draft: PartitionRow, requests: Mapping[str, VideoRequest], takes: Takes) -> VideoRequest:
    """Returns the request of a draft: that of the table of the drafts, or the ledger's if it is complete."""
    take = takes.chosen
    if request := requests.get(takes.takes[0].fingerprint):
        return request_of_take(request, take.number)
    recorded = VideoRequest.from_record(take.task.request) if take.task else None
    if recorded is None or recorded.fingerprint() != take.fingerprint:
        raise _incomplete(draft, "an address with secrets, which the ledger does not record")
    return recorded


def _seed_of(reported: object, sha256: str) -> int:
    """Returns the reported seed if a request can have it, else one that only this file has."""
    is_possible = isinstance(reported, int) and 0 <= reported <= MAX_SEED
    return reported if is_possible and isinstance(reported, int) else int(sha256[:16], 16) % (MAX_SEED + 1)


_SIZE_OF = frozenset({*_SIZE, FRAME_IMAGES})


def with_overrides(request: VideoRequest, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the cells of a request with other values by column; another size replaces that of the request.

    A value of None leaves the column out. Addresses to which the request sends its results are left out too. Another
    resolution of a request with width and height keeps its form: it becomes the nearest size of the model. With another
    model, a request without a duration keeps that of its own model.
    """
    cells = PromptRow(1, "", request, {}).cells()
    if _SIZE_OF.intersection(overrides):
        cells = {column: value for column, value in cells.items() if column not in _SIZE}
    if MODEL_COLUMN in overrides:
        cells.setdefault("duration", kept_duration(request, overrides[MODEL_COLUMN]))
    left_out = {"prompt_id", *_NOT_COPIED}
    found = {n: value for n, value in {**cells, **overrides}.items() if value is not None and n not in left_out}
    form = request.width / request.height if request.width and request.height else None
    size = size_for_resolution(nested(found), form) if "resolution" in overrides else None
    if size is None:
        return found
    return {name: value for name, value in found.items() if name != "resolution"} | dict(
        zip(_SIZE[:2], size, strict=True)
    )


def approval_of(row: PromptRow) -> Approval | None:
    """Returns the approved draft that a row needs, or None for a row that needs none.

    A row that has lost one of the two columns that identify its draft needs a video that nobody can approve.
    """
    fingerprint, sha256 = row.extra.get(DRAFT_FINGERPRINT), row.extra.get(DRAFT_SHA256)
    if fingerprint is None and sha256 is None:
        return None
    fingerprint, sha256 = fingerprint or "", sha256 or ""
    if not (_HEX.fullmatch(fingerprint) and _HEX.fullmatch(sha256)):
        fingerprint = sha256 = "0" * 64  # no video, so that the row is refused
    result = row.extra.get(DRAFT_RESULT, "1")
    name = "/".join(filter(None, (row.extra.get(DRAFT_ASSET), row.extra.get(DRAFT))))
    is_simulated = row.extra.get(DRAFT_SIMULATED) == "yes"
    approval: Approval = import_module("wan_assets.ledger").Approval(
        fingerprint, sha256, int(result) if _RESULT.fullmatch(result) else 0, is_simulated, shortened(name)
    )
    return approval


def _below_root(path: Path) -> str:
    """Returns the path of a file relative to the root of the file system, which is the folder of these rows."""
    path = path.absolute()
    return str(path.relative_to(path.anchor))


def _with_paths(value: Any, files: Mapping[str, str]) -> Any:
    """Returns cells with the paths of local files instead of the references to them."""
    if isinstance(value, Mapping):
        return {name: _with_paths(each, files) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_paths(each, files) for each in value]
    return files.get(value, value) if isinstance(value, str) else value


def _approved(drafts: Sequence[PartitionRow], ledger: Ledger) -> Iterator[tuple[PartitionRow, Takes, Decision]]:
    """Yields each draft with its takes, and the decision about an approved result of the chosen take.

    A row that moved to another partition is in the records of both until the former one is materialized again.
    """
    found: set[tuple[str, VideoKey]] = set()
    for draft, takes in zip(drafts, ledger.takes_of(drafts), strict=True):
        for decision in takes.chosen.decisions:
            if decision.is_approved and (draft.prompt_id, decision.video) not in found:
                found.add((draft.prompt_id, decision.video))
                yield draft, takes, decision


def _incomplete(draft: PartitionRow, reason: str) -> PromptTableError:
    return PromptTableError(f"the draft {printable(draft.prompt_id)} refers to {reason}; {_FIX}")
