"""Dagster resources, which contain configuration and open the client, the store and the ledger."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
from pydantic import Field
from pydantic_core import PydanticCustomError

from wan_assets.client import HttpConfig, RunwareClient
from wan_assets.engine import Limits
from wan_assets.ledger import Budgets, DollarsOrNone, Ledger
from wan_assets.models import add_models, http_url
from wan_assets.orchestration.budget import Budget
from wan_assets.orchestration.known_fields import KnownFields
from wan_assets.settings import (
    API_KEY_VARIABLE,
    DATA_FOLDER,
    DEFAULT_BASE_URL,
    MAX_IN_FLIGHT,
    SettingsError,
    local_path,
)
from wan_assets.simulator import Behaviour, LocalSimulator
from wan_assets.store import VideoStore

_SIMULATOR_FOLDER = f"{DATA_FOLDER}/simulator"


class RunwareResource(KnownFields, dg.ConfigurableResource):
    """Configures a Runware account, and the limits of its use.

    Args:
        api_key: Key of the account. The default is the variable RUNWARE_API_KEY, read when a run starts. Without a key,
            the simulator of this process makes the videos.
        base_url: Address of the API, or of a simulator.
        max_in_flight: Maximum number of tasks in flight in one run.
        max_attempts: Maximum number of tasks for one row when the provider fails.
        max_wait_s: Maximum time of a task, in seconds.
        max_stall_s: Time in seconds without progress at the API after which rows that wait for capacity fail.
        on_lost: Handling of a task that the API no longer knows: "keep" polls it, "resubmit" pays for a new task.
        max_resubmit_age_s: Maximum age in seconds of an unconfirmed task that is submitted again.
        resend_refused: Whether requests that the provider refused are submitted again.
        max_takes: Maximum number of takes of a row. A video with the decision `retake` is generated again, with another
            seed, up to this number.
        retake_rejected: Whether rejected videos are generated again too, within `max_takes`.
        on_mismatch: Handling of a playable video that deviates from its request: "keep" or "fail".
        check_balance: Whether the account's balance must cover a run before it submits tasks.
        allowed_download_hosts: Hosts of result files, in addition to the API's host and `*.runware.ai`.
        initial_poll_delay_s: Time from the submission to the first poll, in seconds.
        max_poll_interval_s: Maximum time between two polls of a task, in seconds.
        webhook_url: Public address of `wan-assets webhook`, with its secret.
        models: Folder with descriptions of further models. It applies to the whole process from then on, and only to
            tables that are read later; `WAN_ASSETS_MODELS` applies from the start.

    Raises:
        TypeError: A field does not exist.
        pydantic.ValidationError: A value is outside its range.
        ModelDescriptionError: A file in `models` does not describe a model.

    Example:
        >>> from wan_assets import RunwareResource
        >>> runware = RunwareResource(api_key="a-key", max_in_flight=20, max_wait_s=600)
        >>> runware.limits().max_in_flight
        20
    """

    api_key: str = Field(
        default="",
        description="The account's key. Empty, or `dg.EnvVar('RUNWARE_API_KEY')`: that variable when a run starts; if "
        "it is not set, the simulator makes the videos.",
    )
    base_url: str = Field(default=DEFAULT_BASE_URL, description="The API's address; a simulator's for tests.")
    max_in_flight: int = Field(
        default=MAX_IN_FLIGHT,
        ge=1,
        description="Maximum number of tasks in flight in one run; fewer while the API refuses more.",
    )
    max_attempts: int = Field(
        default=3, ge=1, description="Maximum number of tasks for one row when the provider fails."
    )
    max_wait_s: float = Field(default=1200.0, gt=0, description="Maximum number of seconds for a task.")
    max_stall_s: float = Field(
        default=300.0,
        gt=0,
        description="Rows that the API refuses for lack of capacity wait. They fail if it has accepted and finished "
        "no task, and processes none, for this number of seconds.",
    )
    on_lost: Literal["keep", "resubmit"] = Field(
        default="keep", description="What to do with a task the API no longer knows: keep polling, or submit it again."
    )
    max_resubmit_age_s: float = Field(
        default=3600.0,
        ge=0,
        description="Age in seconds up to which a task is submitted again, under its UUID, when an interrupted run "
        "left it unconfirmed and the API does not know it. An older task counts as lost.",
    )
    resend_refused: bool = Field(
        default=False,
        description="Submit rows again that the provider has refused for their content or parameters.",
    )
    max_takes: int = Field(
        default=3,
        ge=1,
        description="Maximum number of takes of a row: a video with the decision retake is generated again, with "
        "another seed, up to this number. 1 generates none again.",
    )
    retake_rejected: bool = Field(
        default=False, description="Generate rejected videos again too, within max_takes and the budgets."
    )
    on_mismatch: Literal["keep", "fail"] = Field(
        default="keep",
        description="What to do with a playable video that deviates from its request: store it as the row's video with "
        "its differences, or quarantine it and fail the row.",
    )
    check_balance: bool = Field(
        default=False,
        description="Submit nothing unless the account's balance covers the cost of all videos to generate.",
    )
    allowed_download_hosts: list[str] = Field(
        default_factory=list, description="Hosts of result files besides the API's own and *.runware.ai."
    )
    initial_poll_delay_s: float = Field(default=2.0, gt=0, description="Seconds from submission to the first poll.")
    max_poll_interval_s: float = Field(
        default=10.0, gt=0, description="Longest time in seconds between two polls of a task."
    )
    webhook_url: str = Field(
        default="",
        description="The URL at which the API reports results, with the secret in its query: that of `wan-assets "
        "webhook`. Pass it as `dg.EnvVar('WAN_ASSETS_WEBHOOK_URL')`.",
    )
    models: str = Field(
        default="",
        description="A folder with descriptions of further models, one TOML file each. Create the resource before the "
        "assets, because tables are validated with the models that are known then, or set WAN_ASSETS_MODELS.",
    )

    if not TYPE_CHECKING:  # the signature is that of the fields

        def __init__(self, **values: Any) -> None:
            """Drops a reference to RUNWARE_API_KEY: Dagster would refuse runs if the variable is not set.

            Adds the models, so that tables which are read from then on can use them.
            """
            models = values.get("models", "")
            if isinstance(models, str) and not isinstance(models, dg.EnvVar):
                add_models(models)
            key = values.get("api_key")
            if isinstance(key, dg.EnvVar) and key.env_var_name == API_KEY_VARIABLE:
                del values["api_key"]
            super().__init__(**values)

    @property
    def is_simulated(self) -> bool:
        """Whether there is no API key, so that the simulator makes the videos and nothing is charged."""
        return not self._key()

    def connect(self) -> AbstractAsyncContextManager[RunwareClient]:
        """Opens a client of the API; without a key, a client of a simulator in this process.

        Returns:
            An asynchronous context manager, for `async with`, that yields the client.

        Raises:
            SettingsError: `webhook_url` is not a valid address.
        """
        if self.is_simulated:
            return self._simulated(_SIMULATOR_FOLDER, Behaviour())
        return self._client(self.base_url)

    def limits(self) -> Limits:
        """Returns the limits that the engine applies to a run.

        Returns:
            Limits with times in seconds.
        """
        return Limits(
            max_in_flight=self.max_in_flight,
            max_attempts=self.max_attempts,
            max_wait_s=self.max_wait_s,
            max_stall_s=self.max_stall_s,
            on_lost=self.on_lost,
            max_resubmit_age_s=self.max_resubmit_age_s,
            resend_refused=self.resend_refused,
            max_takes=self.max_takes,
            retake_rejected=self.retake_rejected,
            on_mismatch=self.on_mismatch,
            check_balance=self.check_balance,
        )

    def _key(self) -> str:
        return self.api_key or os.environ.get(API_KEY_VARIABLE, "").strip()

    @asynccontextmanager
    async def _simulated(self, state: str, behaviour: Behaviour) -> AsyncIterator[RunwareClient]:
        with LocalSimulator(local_path(state, "the simulator's folder"), behaviour) as simulator:
            async with self._client(simulator.base_url) as client:
                yield client

    def _client(self, base_url: str) -> RunwareClient:
        http_config = HttpConfig(
            initial_poll_delay_s=self.initial_poll_delay_s, max_poll_interval_s=self.max_poll_interval_s
        )
        key, hosts, hook = self._key() or "simulated", self.allowed_download_hosts, _webhook_url(self.webhook_url)
        return RunwareClient(key, base_url, http_config=http_config, download_hosts=hosts, webhook_url=hook)


class SimulatedRunwareResource(RunwareResource):
    """Configures the simulator in this process instead of an account: placeholder videos, and no charges.

    It takes all arguments of `RunwareResource`, and can be used wherever that is used.

    Args:
        state: Folder for the simulator's records. The default is `simulator` in the data folder.
        latency_s: Time that a simulated generation takes, in seconds.
        faults: Faults by name, with the share of tasks from 0 to 1 that they affect, such as `{"verdict_safety": 0.1}`.
        fault_seed: Number that selects the affected tasks.

    Raises:
        TypeError: A field does not exist.
        pydantic.ValidationError: A value is outside its range.
        SimulatorError: A fault has an unknown name.

    Example:
        >>> from wan_assets import SimulatedRunwareResource
        >>> SimulatedRunwareResource(state="/tmp/simulator", faults={"verdict_safety": 0.1}).is_simulated
        True
    """

    state: str = Field(
        default="", description="The folder for the simulator's records; `simulator` in the data folder by default."
    )
    latency_s: float = Field(default=1.0, ge=0, description="Seconds that a simulated generation takes.")
    initial_poll_delay_s: float = Field(default=0.5, gt=0, description="Seconds from submission to the first poll.")
    faults: dict[str, float] = Field(
        default_factory=dict, description="Faults by name, with the share of tasks from 0 to 1 that they affect."
    )
    fault_seed: int = Field(default=0, description="Selects the tasks that faults affect.")

    def connect(self) -> AbstractAsyncContextManager[RunwareClient]:
        """Serves the simulator on a free loopback port while the client is open.

        Returns:
            An asynchronous context manager, for `async with`, that yields the client.

        Raises:
            SimulatorError: A fault has an unknown name, or the folder cannot be used.
        """
        behaviour = Behaviour(latency_s=self.latency_s, faults=self.faults, seed=self.fault_seed)
        return self._simulated(self.state or _SIMULATOR_FOLDER, behaviour)

    def _key(self) -> str:
        return ""


class VideoStoreResource(KnownFields, dg.ConfigurableResource):
    """Configures the place where videos are stored.

    Args:
        root: A local folder, or a URL that fsspec supports, such as `s3://bucket/folder`.
        direct_delivery: Whether the API uploads videos to the bucket. This requires S3.
        public_base_url: Address at which `wan-assets serve` serves the store to browsers.
        pictures: Whether Dagster shows frames and contact sheets in addition to thumbnails.

    Raises:
        TypeError: A field does not exist.
        pydantic.ValidationError: A value has the wrong type.

    Example:
        >>> from wan_assets import VideoStoreResource
        >>> store = VideoStoreResource(root="/srv/videos").open()
        >>> str(store.root)
        '/srv/videos'
    """

    root: str = Field(
        description="A local folder, or a URL that fsspec knows, such as s3://bucket/folder; `~` and `$NAME` in it are "
        "replaced, and `$$` is a dollar sign."
    )
    direct_delivery: bool = Field(
        default=False,
        description="Let the API upload videos to the bucket, with URLs signed for one PUT each; S3 only.",
    )
    public_base_url: str = Field(
        default="",
        description="The address at which `wan-assets serve` serves the store, such as http://127.0.0.1:3070.",
    )
    pictures: bool = Field(
        default=True, description="Besides thumbnails, show frames of each video and contact sheets of batches."
    )

    def open(self) -> VideoStore:
        """Opens the store without reading or writing.

        Returns:
            The store.

        Raises:
            PathError: `root` is not a valid path.
            SettingsError: `public_base_url` is not a valid address.
        """
        how = {"direct_delivery": self.direct_delivery, "pictures": self.pictures}
        return VideoStore(self.root, public_base_url=_public_base_url(self.public_base_url), **how)


class LedgerResource(KnownFields, dg.ConfigurableResource):
    """Configures the ledger, which records tasks and money, and the budgets.

    Args:
        url: SQLAlchemy URL, such as `sqlite:///ledger.db`. Pass a URL with a password as
            `dg.EnvVar("WAN_ASSETS_LEDGER")`.
        budget_usd_per_run: Budget of one run, in US dollars. None is no limit.
        budget_usd_per_day: Budget of one UTC day, in US dollars. None is no limit.
        budget_usd_total: Budget of all spent and reserved money, in US dollars. None is no limit.
        budget_usd_retakes: Budget of further takes of rows, in US dollars, which count under the other budgets too.
            None is no limit.
        budgets: Further budgets, each with a scope and a period. All budgets apply; the tightest one refuses a row.
        price_margin: Share of the list price, from 0 to 1, that is reserved in addition to it until real prices are
            known. By default, the share in the description of the model, 0.02.
        max_in_flight: Maximum number of tasks in flight in all runs that share the ledger. None is no limit.

    Raises:
        TypeError: A field does not exist.
        pydantic.ValidationError: A value is outside its range.

    Example:
        >>> from wan_assets import Budget, LedgerResource
        >>> ads = Budget(usd=500, per="month", scope={"x_team": "ads"}, time_zone="Europe/Berlin")
        >>> resource = LedgerResource(url="sqlite:///ledger.db", budget_usd_per_day=100, budgets=[ads])
        >>> with LedgerResource(url="sqlite://", budget_usd_per_day=100).open() as ledger:
        ...     ledger.totals().real.cost_microusd
        0
    """

    url: str = Field(
        description="SQLAlchemy URL, such as sqlite:///ledger.db; `~`, `$NAME` and `%XX` in its path are replaced. "
        "Pass one with a password as `dg.EnvVar('WAN_ASSETS_LEDGER')`: Dagster shows any other."
    )
    budget_usd_per_run: DollarsOrNone = Field(default=None, description="Budget in dollars for one run.")
    budget_usd_per_day: DollarsOrNone = Field(default=None, description="Budget in dollars for one UTC day.")
    budget_usd_total: DollarsOrNone = Field(
        default=None, description="Budget in dollars for all costs and reservations."
    )
    budget_usd_retakes: DollarsOrNone = Field(
        default=None, description="Budget in dollars for all further takes of rows, within the other budgets."
    )
    budgets: list[Budget] = Field(
        default_factory=list, description="Further budgets by scope and period; all of them apply."
    )
    price_margin: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of the list price that is reserved in addition to it until real prices of the same kind of "
        "request are known. By default, that of the model.",
    )
    max_in_flight: int | None = Field(
        default=None, ge=1, description="Maximum number of tasks in flight in all runs together, on all machines."
    )

    def open(self) -> Ledger:
        """Opens the ledger, and creates its tables if they do not exist.

        Returns:
            The ledger, which is a context manager: `with resource.open() as ledger` closes it.

        Raises:
            LedgerError: The database cannot be opened, or its URL is not valid.
        """
        budgets = Budgets.of(
            per_run=self.budget_usd_per_run,
            per_day=self.budget_usd_per_day,
            total=self.budget_usd_total,
            retakes=self.budget_usd_retakes,
            limits=self.budgets,
            price_margin=self.price_margin,
        )
        return Ledger(self.url, budgets, max_in_flight=self.max_in_flight)


def _public_base_url(given: str) -> str:
    """Returns a valid URL or an empty text."""
    try:
        return http_url(given.strip()) if given.strip() else ""
    except PydanticCustomError as error:
        raise SettingsError(f"VideoStoreResource(public_base_url={given!r}) {error.message()}") from None


def _webhook_url(given: str) -> str:
    """Returns a valid URL or an empty text; the error does not repeat the URL, because it contains a secret."""
    try:
        return http_url(given.strip()) if given.strip() else ""
    except PydanticCustomError as error:
        raise SettingsError(f"RunwareResource(webhook_url=…) {error.message()}; it is not shown here") from None
