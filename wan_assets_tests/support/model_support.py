"""Descriptions of models that do not exist, like those of the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

WAN = (files("wan_assets.models") / "descriptions" / "wan2_6.toml").read_text("utf-8")
SETTINGS = """\
"settings.cameraMotion" = { values = ["still", "pan"], default = "still", source = "documented" }
"settings.strength" = { minimum = 1, maximum = 9, source = "documented" }
"settings.weight" = { type = "number", source = "unknown" }
"settings.loop" = { type = "boolean", source = "documented" }
"""


def described(folder: Path, model: str, name: str = "", short_name: str = "") -> Path:
    """A file that describes another model like Wan2.6, with a price of $0.37 a second and with settings of its own."""
    text = WAN.replace("alibaba:wan@2.6", model).replace('["wan2.6"]', f'["{short_name or model.replace(":", "-")}"]')
    text = text.replace('"settings.shotType"', f'{SETTINGS}"settings.shotType"', 1)
    path = folder / f"{name or model.replace(':', '_')}.toml"
    path.write_text(text.replace('720p = "0.10"', '720p = "0.37"'), encoding="utf-8")
    return path
