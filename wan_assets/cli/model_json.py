"""The JSON that commands print for a model."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from wan_assets.models import Catalog, ModelDescription


def model_json(model: ModelDescription, known: Catalog) -> dict[str, Any]:
    """Returns the whole description, with prices as numbers, and the file of a model that a user described."""
    sizes = {name: [f"{width}x{height}" for width, height in sizes] for name, sizes in model.sizes.items()}
    file = known.files.get(model.id)
    dumped = model.model_dump() | {"sizes": sizes, "file": None if file is None else str(file)}
    found: dict[str, Any] = _plain(dumped)
    return {"short_name": model.short_name, **found}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
