"""Caches the API's UUIDs of local files, so that a file is uploaded once and not for each row."""

from __future__ import annotations

import sqlalchemy as sa

from wan_assets.ledger.schema import media, upsert_into

_KEPT_S = 25 * 24 * 3600
"""The API deletes an upload 30 days after its last use."""


def known(connection: sa.Connection, reference: str, base_url: str, *, now: float) -> str | None:
    """Returns the API's UUID of a file whose upload still exists."""
    here = (media.c.reference == reference) & (media.c.base_url == base_url)
    fresh = media.c.used_at > now - _KEPT_S
    return connection.execute(sa.select(media.c.media_uuid).where(here, fresh)).scalar()


def remember(connection: sa.Connection, reference: str, base_url: str, media_uuid: str, *, now: float) -> None:
    """Records the API's UUID of a file."""
    row = {"reference": reference, "base_url": base_url, "media_uuid": media_uuid, "used_at": now}
    connection.execute(upsert_into(connection.dialect.name, media), row)


def forget(connection: sa.Connection, reference: str, base_url: str) -> None:
    """Deletes the UUID of a file that the API has deleted."""
    connection.execute(media.delete().where(media.c.reference == reference, media.c.base_url == base_url))
