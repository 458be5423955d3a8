"""Settings from environment variables, their defaults, and the parsing of paths and URLs in them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from urllib.parse import quote, urlsplit

from wan_assets.errors import WanAssetsError

DEFAULT_BASE_URL = "https://api.runware.ai/v1"
DATA_FOLDER = "wan_assets_data"
MAX_IN_FLIGHT = 50
"""The maximum number of tasks in flight in one run, by default."""

API_KEY_VARIABLE = "RUNWARE_API_KEY"
LEDGER_VARIABLE = "WAN_ASSETS_LEDGER"
BUDGETS_VARIABLE = "WAN_ASSETS_BUDGETS"
TABLE_OPTIONS_VARIABLE = "WAN_ASSETS_TABLE_OPTIONS"
WEBHOOK_VARIABLE = "WAN_ASSETS_WEBHOOK_URL"
"""The value contains a secret: it is read at the place of use and not stored."""

BUDGET_VARIABLES = ("WAN_ASSETS_BUDGET_USD", "WAN_ASSETS_BUDGET_USD_RETAKES", BUDGETS_VARIABLE)
"""The variables that contain budgets."""

MAX_BUDGET_USD = 1e9
_MIN_BUDGET_USD = 0.000001
"""The smallest amount that the ledger counts. A smaller one would become a budget of 0, which stops everything."""

LOCAL_PROTOCOLS = ("", "file")
"""The protocols of a `UPath` on this machine."""

EXTRAS_OF_PROTOCOLS: Mapping[str, str] = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gs"),
    **dict.fromkeys(("az", "abfs", "abfss"), "az"),
}
"""The extra of this package that installs the file system of a URL's protocol."""

FILE_SERVER_PORT = 3070
"""The port of `wan-assets serve`. Dagster's pages link to it."""

REVIEW_SERVER_PORT = 3071
"""The port of `wan-assets review`."""

DEMO_PROMPTS = Path(__file__).parent / "prompts" / "demo" / "prompts.csv"

SIMULATED_NOTICE = f"{API_KEY_VARIABLE} is not set: videos are SIMULATED, and nothing is charged"
"""The warning of everything that uses the simulator because no API key is given."""

_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<braced>[^{}]*)\}|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<open>\{))")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(file|sqlite|postgres(ql)?|https?|s3a?|gc?s|az|abfss?):", re.IGNORECASE)
_FSSPEC_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+::)*[A-Za-z][A-Za-z0-9+.-]+://")
_DATABASE_URL = re.compile(r"(sqlite|postgres(ql)?|mysql|mariadb|mssql|oracle|duckdb|snowflake|bigquery)(\+\w+)?:")
_QUOTES = "\"'"
_IPV4_LOOPBACK = re.compile(r"127(?:\.[0-9]{1,3}){3}")


class SettingsError(WanAssetsError):
    """An environment variable has an invalid value."""

    hint = "Correct the variable, or unset it."


@dataclass(frozen=True)
class Settings:
    """The configuration of the default code location and of the command line.

    Without an `api_key` the simulator is used. `folder` is the data folder: it contains everything that has no location
    of its own. `table_options` are the columns and default values of `prompts`, and `budgets` the budgets beside
    `budget_usd`, both as JSON.
    """

    folder: Path
    prompts: str | Path
    store: str
    ledger: str
    dagster_home: Path
    budget_usd: float | None
    budget_usd_retakes: float | None
    api_key: str
    base_url: str
    has_webhook: bool
    files_url: str
    table_options: str = ""
    budgets: str = ""

    @property
    def is_simulated(self) -> bool:
        """Whether the simulator replaces the API."""
        return not self.api_key

    @property
    def is_charged(self) -> bool:
        """Whether runs charge an account: there is an API key, and the address of the API is not on this machine."""
        try:
            host = urlsplit(self.base_url).hostname or ""
        except ValueError:
            host = ""
        return bool(self.api_key) and not is_loopback(host)


def settings_from(environment: Mapping[str, str], folder: Path | None = None) -> Settings:
    """Reads the settings from environment variables.

    The variables are RUNWARE_API_KEY, RUNWARE_BASE_URL, DAGSTER_HOME and WAN_ASSETS_PROMPTS, _TABLE_OPTIONS, _STORE,
    _LEDGER, _BUDGET_USD, _BUDGET_USD_RETAKES, _BUDGETS, _WEBHOOK_URL and _FILES_URL.

    An explicit `folder` takes precedence over WAN_ASSETS_STORE, WAN_ASSETS_LEDGER and DAGSTER_HOME. In paths, `~` and
    variables are expanded. Raises `SettingsError` for an invalid budget, and `PathError` for text that cannot be a
    path.
    """
    given = environment.get
    home = (local_path(str(folder), "the data folder") if folder else Path(DATA_FOLDER)).absolute()
    places = {} if folder else environment
    prompts, dagster_home = given("WAN_ASSETS_PROMPTS"), places.get("DAGSTER_HOME")
    return Settings(
        folder=home,
        prompts=table_path(prompts, "WAN_ASSETS_PROMPTS", environment) if prompts else DEMO_PROMPTS,
        store=places.get("WAN_ASSETS_STORE") or escaped(home / "videos"),
        ledger=places.get(LEDGER_VARIABLE) or sqlite_url(home / "ledger.db"),
        dagster_home=local_path(dagster_home, "DAGSTER_HOME", environment) if dagster_home else home / "dagster",
        budget_usd=_budget("WAN_ASSETS_BUDGET_USD", environment),
        budget_usd_retakes=_budget("WAN_ASSETS_BUDGET_USD_RETAKES", environment),
        api_key=given(API_KEY_VARIABLE, "").strip(),
        base_url=given("RUNWARE_BASE_URL") or DEFAULT_BASE_URL,
        has_webhook=bool(given(WEBHOOK_VARIABLE, "").strip()),
        files_url=given("WAN_ASSETS_FILES_URL") or f"http://127.0.0.1:{FILE_SERVER_PORT}",
        table_options=given(TABLE_OPTIONS_VARIABLE, "").strip(),
        budgets=given(BUDGETS_VARIABLE, "").strip(),
    )


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine, which proxies of the environment cannot reach."""
    return host in ("localhost", "::1") or _IPV4_LOOPBACK.fullmatch(host) is not None


def budget_problem(amount_usd: float) -> str:
    """Returns why an amount cannot be a budget; an empty text if it can be one.

    >>> budget_problem(0), budget_problem(-1)
    ('', 'a budget must be from $0 to $1,000,000,000')
    """
    if not isfinite(amount_usd):
        return "a budget must be a number of dollars"
    if not 0 <= amount_usd <= MAX_BUDGET_USD:
        return f"a budget must be from $0 to ${MAX_BUDGET_USD:,.0f}"
    if 0 < amount_usd < _MIN_BUDGET_USD:
        return f"the smallest budget is ${_MIN_BUDGET_USD:f}; a budget of 0 stops everything"
    return ""


def _budget(name: str, environment: Mapping[str, str]) -> float | None:
    text = environment.get(name, "").strip()
    try:
        budget = float(text or "0")
    except ValueError:
        budget = nan
    if problem := budget_problem(budget):
        raise SettingsError(f"{name} is {text!r}: {problem}")
    return budget if text else None


class PathError(WanAssetsError):
    """A configured path or URL is not valid."""

    hint = "Correct the path where it is configured, then run again; nothing was submitted."
    is_retryable = False


def expanded(
    text: str, name: str, environment: Mapping[str, str] = os.environ, *, written: Callable[[str], str] = str
) -> str:
    """Returns a path or URL with `$NAME`, `${NAME}` and a leading `~` replaced. `$$` is a dollar sign.

    `name` is the setting that contains the path, for messages. `written` encodes a value before it is inserted into the
    text. Raises `PathError` for an empty or unprintable path, and for an unknown variable.
    """
    path = cleaned(text, name)

    def value_of(found: re.Match[str]) -> str:
        if found["dollar"]:
            return written("$")
        if found["open"]:
            raise PathError(f"{name} has a ${{ without its }}: write $$ for a dollar sign")
        variable = found["braced"] if found["name"] is None else found["name"]
        if not environment.get(variable, ""):
            raise PathError(f"{name} uses ${{{variable}}}, which is not set: write $$ for a dollar sign")
        return written(environment[variable])

    replaced = cleaned(_VARIABLE.sub(value_of, path), name)
    return at_home(replaced, name) if path.startswith("~") else replaced


def cleaned(text: str, name: str) -> str:
    """Returns a text without surrounding blanks; raises `PathError` if it is empty, quoted or unprintable."""
    path = text.strip()
    if not path:
        raise PathError(f"{name} is empty")
    if found := _UNPRINTABLE.search(path):
        raise PathError(f"{name} contains the character U+{ord(found[0]):04X}, which is not allowed in a path")
    if path[0] in _QUOTES and path[-1] == path[0]:
        raise PathError(f"{name} is in quotation marks: remove them")
    return path


def at_home(path: str, name: str) -> str:
    """Returns a path with a leading `~` or `~user` replaced; raises `PathError` for an unknown user."""
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        user = path.partition("/")[0]
        raise PathError(f"{name} starts with {user}, whose home folder is unknown: write ./~ for a folder") from None


def escaped(path: str | os.PathLike[str]) -> str:
    """Returns an absolute path in a form that `expanded` converts back to the same path."""
    return str(path).replace("$", "$$")


def local_path(text: str, name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Returns a path on this machine; raises `PathError` for a URL and for everything that `expanded` refuses."""
    found = expanded(text, name, environment)
    if scheme := _URL.match(found):
        raise PathError(f"{name} is a URL ({scheme[0]}…), not a path on this machine")
    return Path(found)


def table_path(text: str, name: str, environment: Mapping[str, str] = os.environ) -> str | Path:
    """Returns the path or the URL of a prompt table; raises `PathError` as `local_path` does."""
    found = expanded(text, name, environment)
    if scheme := _DATABASE_URL.match(found):
        raise PathError(f"{name} is the URL of a database ({scheme[0]}…), not of a table: read it with an SqlQuery")
    return found if is_url(found) else local_path(text, name, environment)


def is_url(text: str) -> bool:
    """Whether a text is a URL as fsspec opens it, such as `s3://bucket/prompts.csv` or `zip://a.csv::s3://bucket/a.zip`.

    >>> is_url("s3://bucket/prompts.csv"), is_url("prompts/a.csv"), is_url("C:/prompts.csv")
    (True, False, False)
    """
    return _FSSPEC_URL.match(text) is not None


def sqlite_url(path: str | os.PathLike[str]) -> str:
    """Returns the URL of a SQLite file with any path: `%`, `?`, `#`, `$` and trailing spaces are encoded."""
    url = quote(os.fsencode(path), safe="/ ")
    kept = url.rstrip(" ")
    return f"sqlite:///{kept}{'%20' * (len(url) - len(kept))}"


def is_misread_in_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path identifies another file when it is inserted into a URL unescaped, as Dagster does."""
    return re.search(r"[?]|%[0-9A-Fa-f]{2}", os.fspath(path)) is not None
