"""Defines video requests: their parameters, the rules between them, list prices, and the secret parts of URLs."""

from wan_assets.models import rules
from wan_assets.models.pricing import (
    MICROUSD_PER_S,
    PLAUSIBLE_USD,
    PRICE_MARGIN,
    dollars,
    implausible_usd,
    list_price_microusd,
    microusd,
    microusd_of,
    nearest_microusd,
    request_kind,
    reservation_microusd,
    usd,
    worst_price_microusd,
)
from wan_assets.models.prompt_text import normalized
from wan_assets.models.request import MODEL, SIZES, AlibabaSettings, Safety, Tier, VideoRequest, task_uuid_of
from wan_assets.models.rules import closest_name, edits_between, http_url, uuid_in
from wan_assets.models.url_secrets import (
    DESTINATION_FIELDS,
    HIDDEN,
    PUBLIC_OPTIONS,
    may_hold_password,
    public_part_of,
    secrets_in,
    without_secrets,
    without_secrets_of,
)
from wan_assets.models.violations import COLUMN_ALIASES, LAST_FRAME, PARAMETERS, Violation, violations_of

__all__ = [
    "COLUMN_ALIASES",
    "DESTINATION_FIELDS",
    "HIDDEN",
    "LAST_FRAME",
    "MICROUSD_PER_S",
    "MODEL",
    "PARAMETERS",
    "PLAUSIBLE_USD",
    "PRICE_MARGIN",
    "PUBLIC_OPTIONS",
    "SIZES",
    "AlibabaSettings",
    "Safety",
    "Tier",
    "VideoRequest",
    "Violation",
    "closest_name",
    "dollars",
    "edits_between",
    "http_url",
    "implausible_usd",
    "list_price_microusd",
    "may_hold_password",
    "microusd",
    "microusd_of",
    "nearest_microusd",
    "normalized",
    "public_part_of",
    "request_kind",
    "reservation_microusd",
    "rules",
    "secrets_in",
    "task_uuid_of",
    "usd",
    "uuid_in",
    "violations_of",
    "without_secrets",
    "without_secrets_of",
    "worst_price_microusd",
]
