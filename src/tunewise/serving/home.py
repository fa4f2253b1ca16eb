"""Where what a server keeps lies: keys, and whatever else must outlive it."""

import os
from pathlib import Path


def data_home() -> Path:
    """$TUNEWISE_HOME, else `tunewise` in $XDG_DATA_HOME, else ~/.local/share/tunewise."""
    if own := os.environ.get("TUNEWISE_HOME"):
        return Path(own)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tunewise"
