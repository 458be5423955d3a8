"""Ids of rows: as written, or derived from the requests, with a finding for each that is not valid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from wan_assets.prompts.cells import Cells, is_absent
from wan_assets.prompts.identity import PromptIds, are_plain_ids, text_of_id, violations_of_id
from wan_assets.prompts.layout import Layouts
from wan_assets.prompts.problems import Refusal
from wan_assets.prompts.row_batch import RowBatch


@dataclass(frozen=True)
class RowIds:
    """Gives the rows of one file their ids; `ids` are those of all files of the table."""

    ids: PromptIds
    layouts: Layouts

    def at_once(self, batch: RowBatch, valid: RowBatch) -> RowBatch | None:
        """Returns the valid rows of a batch with their ids; None if ids of the batch have to be checked one by one."""
        if are_plain_ids(batch.prompt_ids):
            return valid if self.ids.claim_all(batch.prompt_ids, batch.numbers) else None
        if not all(map(is_absent, batch.prompt_ids)):
            return None
        derived = self.ids.derive_all(valid.fingerprints, valid.numbers)
        return None if derived is None else replace(valid, prompt_ids=derived)

    def of(self, number: int, cells: Cells, fingerprint: Callable[[], str] | None) -> str | None:
        """Returns the id of a row; `fingerprint` returns that of its request, and is None if it has no valid one."""
        if cells.prompt_id is None:
            return self._derived(number, cells, fingerprint()) if fingerprint and not cells.findings else None
        prompt_id = text_of_id(cells.prompt_id)
        if prompt_id is None:
            self.refuse(cells, cells.prompt_id, Refusal("must be text or a whole number", "write it as text"))
            return None
        if broken := list(violations_of_id(prompt_id)):
            for refusal in broken:
                self.refuse(cells, prompt_id, refusal)
            return None
        if holder := self.ids.claim(prompt_id, number):
            refusal = Refusal(f"is already the id of {holder}", "give each row its own id")
            self.refuse(cells, prompt_id, refusal)
        return prompt_id

    def refuse(self, cells: Cells, value: Any, refusal: Refusal) -> None:
        """Refuses an id; a column that was recognized as the id may be another column of the table."""
        name = self.layouts.common_name_of_id
        other = f"; if the column {name} is not the id, map x_{name}={name}, and ids are derived" if name else ""
        cells.refuse("prompt_id", value, Refusal(refusal.rule, f"{refusal.fix}{other}"))

    def _derived(self, number: int, cells: Cells, fingerprint: str) -> str:
        prompt_id, holder = self.ids.derive(fingerprint, number)
        if holder:
            rule = f"is derived from the row's content, but {holder} has this id"
            cells.refuse("prompt_id", prompt_id, Refusal(rule, f"give {holder} another id"))
        return prompt_id
