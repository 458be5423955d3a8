"""`wan-assets probe`: tests undocumented behaviour of the API with the configured account."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from wan_assets.cli.api_probe import PRICE_MICROUSD, Finding, Probe, Record
from wan_assets.cli.connection import connected
from wan_assets.cli.display import dollars, show_json, show_table
from wan_assets.cli.options import current_settings, data_dir_option, json_option
from wan_assets.engine import Outcome
from wan_assets.ledger import Ledger, budgets_of
from wan_assets.models import usd
from wan_assets.settings import Settings
from wan_assets.store import VideoStore


@click.command()
@data_dir_option
@click.option("--pay", is_flag=True, help="Pay for the test video, unless it is already stored.")
@json_option
def probe(*, pay: bool, as_json: bool) -> None:
    """Test undocumented behaviour of the API with one video of the cheapest kind.

    Without --pay nothing is submitted, and the price is shown. The video is recorded and stored like any other, within
    the configured budget: a later probe reuses it and tests whether the API still knows its task. Without a key the
    simulator answers.

    Exit status: 0 the video is stored, or --pay is not given, 1 it is not stored, 2 it could not start.
    """
    settings = current_settings()
    if not pay:
        _show_price(settings, as_json=as_json)
        return
    with Ledger(settings.ledger, budgets_of(settings)) as ledger:
        outcome, findings = asyncio.run(_probed(settings, ledger))
    if as_json:
        show_json({"findings": [vars(finding) for finding in findings], **_money(outcome)})
    else:
        _show(outcome, findings)
    sys.exit(0 if outcome.stored else 1)


async def _probed(settings: Settings, ledger: Ledger) -> tuple[Outcome, list[Finding]]:
    record = Record()
    async with connected(settings, ledger, record) as client:
        probe = Probe(client, record, VideoStore(settings.store), ledger)
        findings = await probe.free_findings()
        outcome = await probe.outcome()
        return outcome, findings + await probe.video_findings(outcome)


def _show_price(settings: Settings, *, as_json: bool) -> None:
    if as_json:
        show_json({"price_usd": float(usd(PRICE_MICROUSD)), "submitted": 0})
        return
    click.echo(f"One video of 5 s at 480p costs at most about {dollars(PRICE_MICROUSD)}; 480p has no published price.")
    if settings.is_simulated:
        click.echo("RUNWARE_API_KEY is not set: the simulator answers, and nothing is charged.")
    click.echo("nothing was submitted; `wan-assets probe --pay` starts the test")


def _show(outcome: Outcome, findings: list[Finding]) -> None:
    rows = [(finding.question, finding.observed) for finding in findings]
    show_table(
        "Behaviour of the API",
        ("question", "observed"),
        rows,
        flexible=("question", "observed"),
        folded=("question", "observed"),
    )
    if outcome.error:
        click.echo(f"  what to do  {outcome.error.hint}")
    cost = "was already stored, and nothing was paid" if outcome.is_reused else f"cost {dollars(outcome.cost_microusd)}"
    click.echo(f"The video {cost if outcome.stored else 'was not generated'}; everything else was free.")


def _money(outcome: Outcome) -> dict[str, Any]:
    cost = outcome.cost_microusd
    return {
        "is_stored": outcome.stored is not None,
        "is_reused": outcome.is_reused,
        "submitted": outcome.submitted,
        "cost_usd": None if cost is None else float(usd(cost)),
    }
