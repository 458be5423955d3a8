"""`wan-assets simulator`: serves the simulated API locally."""

from __future__ import annotations

from pathlib import Path

import click

from wan_assets.cli.display import printable
from wan_assets.models import catalog
from wan_assets.settings import DATA_FOLDER, local_path
from wan_assets.simulator import FAULTS, Behaviour, parse_rates, serve

_EPILOG = "\b\nFaults:\n" + "\n".join(f"  {name:<24}{about}" for name, about in FAULTS.items())


@click.command(epilog=_EPILOG)
@click.option("--port", type=click.IntRange(1, 65535), required=True, help="The port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=Path(DATA_FOLDER) / "simulator",
    show_default=True,
    help="The folder with the simulator's records.",
)
@click.option(
    "--latency", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Seconds that a video takes."
)
@click.option("--fault", "faults", multiple=True, metavar="NAME=RATE", help="A fault and its rate; may be repeated.")
@click.option("--seed", type=int, default=0, show_default=True, help="Selects the tasks that faults affect.")
@click.option("--api-key", help="The only key to accept; any by default.")
@click.option(
    "--balance", type=float, default=1_000_000.0, show_default=True, help="The balance of the account in dollars."
)
def simulator(
    *,
    port: int,
    host: str,
    state: Path,
    latency: float,
    faults: tuple[str, ...],
    seed: int,
    api_key: str | None,
    balance: float,
) -> None:
    """Serve the Runware API locally: real small videos, no charges. Stop it with Ctrl-C."""
    catalog()  # reports errors in descriptions of models before it serves
    behaviour = Behaviour(
        latency_s=latency, faults=parse_rates(faults), seed=seed, api_key=api_key, balance_usd=balance
    )
    state = local_path(str(state), "--state")
    serve(state, behaviour, host=host, port=port, on_ready=lambda url: _announce(url, state))


def _announce(url: str, state: Path) -> None:
    click.echo(f"simulating the Runware API at {url} (RUNWARE_BASE_URL), records in {printable(str(state))}")
