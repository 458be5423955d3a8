"""One run over many partitions by prompt: orders go to the engine, and its outcomes become Dagster's events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dagster as dg

from wan_assets import report
from wan_assets.errors import PromptTableError, WanAssetsError
from wan_assets.generation import Order, Outcome
from wan_assets.prompts import PromptTable
from wan_assets.store import StoredTask
from wan_assets.telling import Telling


@dataclass(frozen=True)
class RowRun:
    """The partitions `keys` of one run, and what it takes to report on them."""

    table: PromptTable
    keys: tuple[str, ...]
    asset_key: dg.AssetKey
    log: logging.Logger
    on_outcome: Callable[[Outcome], None]

    def orders(self) -> list[Order]:
        """What the rows of the partitions ask for."""
        rows = [row for key in self.keys if (row := self.table.by_id.get(key))]
        return [Order(row.request, row.prompt_id, row.prompt_id) for row in rows]

    def events(self, outcomes: Iterator[Outcome], telling: Telling) -> Iterator[dg.AssetMaterialization]:
        """Yields a materialization as each video lands; raises one `Failure` for all rows that have none."""
        failed = [(key, _no_row(key)) for key in self.keys if key not in self.table.by_id]
        try:
            for outcome in outcomes:
                self.on_outcome(outcome)
                if outcome.stored:
                    cost_microusd = telling.cost_microusd(outcome, outcome.stored)
                    yield self._materialization(outcome, outcome.stored, cost_microusd)
                    telling.told(outcome, outcome.stored)
                elif outcome.error:
                    failed.append((outcome.order.partition, outcome.error))
                    self.log.warning("%s has no video: %s", outcome.order.partition, outcome.error)
        except WanAssetsError as error:
            raise report.failure_to_start(error) from None
        finally:
            telling.book()
        if failed:
            raise report.failure_of(failed, len(self.keys))

    def _materialization(
        self, outcome: Outcome, stored: StoredTask, cost_microusd: int | None
    ) -> dg.AssetMaterialization:
        if stored.missing:
            self.log.warning("%s lacks %d results: %s", outcome.order.partition, len(stored.missing), stored.missing)
        return dg.AssetMaterialization(
            asset_key=self.asset_key,
            partition=outcome.order.partition,
            metadata=report.video_metadata(outcome, stored, cost_microusd),
            tags={"dagster/data_version": stored.videos[0].sha256},
        )


def _no_row(key: str) -> WanAssetsError:
    return PromptTableError(f"the table has no row with the prompt_id {key}")
