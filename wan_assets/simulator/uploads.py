"""Images and audio files uploaded to the simulator, identified by UUID and by the hash of their content."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.journal import Journal
from wan_assets.simulator.refusals import RefusalError, error_item


class Uploads:
    """Handles mediaStorage tasks. Only the hash of a file is stored."""

    def __init__(self, journal: Journal, behaviour: Behaviour) -> None:
        self._journal = journal
        self._behaviour = behaviour

    def stored(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the response to an upload; a repeated upload with the same UUID returns the same file."""
        media, task_uuid = task.get("media"), str(task.get("taskUUID"))
        if not isinstance(media, str) or not media:
            raise RefusalError(400, error_item("missingMedia", "media is missing.", task, parameter="media"))
        media_uuid = self.media_uuid_of(task_uuid) or str(uuid.uuid4())
        with self._journal.transaction() as db:
            row = (media_uuid, task_uuid, _reference_of(media, task))
            db.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, 0)", row)
        return {"mediaUUID": "1"} if self._behaviour.is_upload_slow else _reported_item(media_uuid)

    def deleted(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the response to a deletion."""
        media_uuid = str(task.get("media"))
        with self._journal.transaction() as db:
            gone = "UPDATE uploads SET is_deleted = 1 WHERE media_uuid = ? AND NOT is_deleted"
            if not db.execute(gone, (media_uuid,)).rowcount:
                message = "There is no such media."
                raise RefusalError(400, error_item("mediaNotFound", message, task, parameter="media"))
        return {"mediaUUID": media_uuid}

    def report(self, task_uuid: str) -> dict[str, Any] | None:
        """Returns the poll response for an upload, or None if the task is not an upload."""
        media_uuid = self.media_uuid_of(task_uuid)
        head = {"taskType": "mediaStorage", "taskUUID": task_uuid, "status": "success", "operation": "upload"}
        return {**head, **_reported_item(media_uuid)} if media_uuid else None

    def media_uuid_of(self, task_uuid: str) -> str | None:
        """Returns the UUID of an uploaded file, or None."""
        rows = self._journal.rows("SELECT media_uuid FROM uploads WHERE task_uuid = ?", task_uuid)
        return rows[0][0] if rows else None

    def references(self, media_uuids: Iterable[str]) -> dict[str, str]:
        """Returns the reference `sha256:…` of each uploaded file by UUID; empty if the file has been deleted."""
        query = "SELECT reference, is_deleted FROM uploads WHERE media_uuid = ?"
        found = {media_uuid: self._journal.rows(query, media_uuid) for media_uuid in media_uuids}
        return {media_uuid: "" if rows[0][1] else rows[0][0] for media_uuid, rows in found.items() if rows}


def _reported_item(media_uuid: str) -> dict[str, Any]:
    return {"mediaUUID": media_uuid, "mediaURL": f"https://im.runware.ai/image/{media_uuid}"}


def _reference_of(media: str, task: Mapping[str, Any]) -> str:
    """Returns the hash of the content, or of the URL if only a URL is given."""
    content = media.encode()
    if not media.startswith(("http://", "https://")):
        try:
            content = base64.b64decode(media.partition(";base64,")[2] or media, validate=True)
        except (binascii.Error, ValueError):
            message = "media is neither a URL, a data URI nor base64."
            raise RefusalError(400, error_item("invalidMedia", message, task, parameter="media")) from None
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
