"""Drafts descriptions of models from published OpenAPI files. The files are untrusted: nothing in them is executed."""

from wan_assets.models.drafts.draft import Draft, draft_of

__all__ = ["Draft", "draft_of"]
