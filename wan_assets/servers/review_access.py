"""The access to the review server: a secret token for each reviewer, and the sessions that tokens open.

Sessions and CSRF tokens are derived from the access token. Therefore they are valid after a restart, and the server
stores nothing about them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wan_assets.errors import WanAssetsError
from wan_assets.ledger import reviewer_name

_TOKEN_BYTES = 32
_OPEN_TO_OTHERS = 0o077
_MAX_FILE_BYTES = 1_000_000


class ReviewAccessError(WanAssetsError):
    """The file with the access tokens of the review server cannot be read or written."""

    hint = "Make the data folder writable, or delete the file: the next start makes new links."


@dataclass(frozen=True)
class ReviewAccess:
    """The access token of each reviewer. `scope` identifies the server to browsers that know several."""

    scope: str
    tokens: Mapping[str, str]

    @classmethod
    def kept_in(cls, path: Path, reviewers: Sequence[str]) -> ReviewAccess:
        """Reads the tokens of some reviewers from a file that only its owner can read, and adds missing ones.

        If others can read the file, all its tokens are replaced. Raises `ReviewAccessError`, and `DecisionError` for
        the name of a reviewer that a decision cannot have.
        """
        names = dict.fromkeys(map(reviewer_name, reviewers))
        kept = _read(path)
        scope, known = kept.get("scope"), kept.get("tokens")
        tokens = {name: str(token) for name, token in known.items()} if isinstance(known, dict) else {}
        tokens |= {name: secrets.token_urlsafe(_TOKEN_BYTES) for name in names if not tokens.get(name)}
        found = {"scope": scope if isinstance(scope, str) and scope else secrets.token_hex(4), "tokens": tokens}
        if found != kept:
            _write(path, found)
        return cls(str(found["scope"]), {name: tokens[name] for name in names})

    @property
    def cookie(self) -> str:
        """The name of the session's cookie, because servers on several ports share the cookies of a host."""
        return f"wan_assets_review_{self.scope}"

    def reviewer_of_token(self, token: str) -> str | None:
        """Returns the reviewer with an access token."""
        return _owner(token, self.tokens)

    def reviewer_of_session(self, session: str) -> str | None:
        """Returns the reviewer with a session."""
        return _owner(session, {name: self.session(name) for name in self.tokens})

    def session(self, reviewer: str) -> str:
        """Returns the value of a reviewer's cookie."""
        return self._derived(reviewer, "session")

    def csrf(self, reviewer: str) -> str:
        """Returns the token that each change of a reviewer must contain."""
        return self._derived(reviewer, "csrf")

    def _derived(self, reviewer: str, purpose: str) -> str:
        return hmac.new(self.tokens[reviewer].encode(), purpose.encode(), hashlib.sha256).hexdigest()


def _owner(given: str, secrets_of: Mapping[str, str]) -> str | None:
    """Compares with all secrets, so that the time does not depend on the match."""
    text = given.encode("utf-8", "replace")
    matches = [name for name, secret in secrets_of.items() if hmac.compare_digest(text, secret.encode())]
    return matches[0] if matches else None


def _read(path: Path) -> dict[str, Any]:
    """Returns the content of the file; empty if there is none, if it is not valid, or if others can read it."""
    try:
        if os.name == "posix" and path.stat().st_mode & _OPEN_TO_OTHERS:
            return {}
        with path.open("rb") as file:
            found = json.loads(file.read(_MAX_FILE_BYTES))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ReviewAccessError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Writes the file atomically; `mkstemp` makes it readable by its owner only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=1)
        Path(name).replace(path)
    except OSError as error:
        raise ReviewAccessError(f"cannot write {path}: {error.strerror or error}") from error
