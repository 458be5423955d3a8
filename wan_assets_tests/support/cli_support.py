"""The command, run as people run it: in a process of its own."""

import os

from patience import PATIENCE_S
from python_process import run_python


def wan_assets(*arguments, cwd=None, **environment):
    """Runs the command to its end."""
    return run_python(
        ["-m", "wan_assets", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=cwd,
        env=clean(**environment),
    )


def clean(**environment):
    """This process's environment without what would configure the command."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("WAN_ASSETS_", "RUNWARE_"))}
    mine.pop("DAGSTER_HOME", None)
    return {**mine, **environment}


def lines(folder, *prompts):
    """A plain text table."""
    path = folder / "prompts.txt"
    path.write_text("\n".join(prompts), encoding="utf-8")
    return path
