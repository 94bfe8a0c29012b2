"""Google's emulators on this machine, for tests and for a try: where their programs are."""

import os
import shutil
import subprocess
from pathlib import Path

__all__ = ["NO_BIGTABLE", "NO_PUBSUB", "find_bigtable", "find_pubsub"]

#: What to do where an emulator is missing.
NO_BIGTABLE = (
    "no Bigtable emulator: `gcloud components install bigtable`, or `make emulator` where there is Go, "
    "or name it in TODOKE_BIGTABLE_EMULATOR"
)
NO_PUBSUB = (
    "no Pub/Sub emulator: `gcloud components install pubsub-emulator` and Java 17, "
    "or name its jar in TODOKE_PUBSUB_EMULATOR"
)

#: How long the Google Cloud CLI may take to say where it is installed, in seconds.
GCLOUD_SECONDS = 60.0

_CHECKOUT = Path(__file__).parent.parent


def find_bigtable(patience: float = GCLOUD_SECONDS) -> str | None:
    """The program of the Bigtable emulator; None if there is none."""
    return _first(
        os.environ.get("TODOKE_BIGTABLE_EMULATOR"),
        _sdk("bigtable-emulator/cbtemulator", patience),
        _CHECKOUT / ".tools/bin/emulator",
        shutil.which("cbtemulator"),
    )


def find_pubsub(patience: float = GCLOUD_SECONDS) -> str | None:
    """The jar of the Pub/Sub emulator, which Java runs; None if there is none."""
    return _first(os.environ.get("TODOKE_PUBSUB_EMULATOR"), _sdk("pubsub-emulator/lib/*.jar", patience))


def _first(*places: str | Path | None) -> str | None:
    return next((str(place) for place in places if place is not None and Path(place).is_file()), None)


def _sdk(pattern: str, patience: float) -> Path | None:
    """The first file of that name in the Google Cloud CLI's folder of emulators."""
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        return None
    command = [gcloud, "info", "--format=value(installation.sdk_root)"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience)
    except (OSError, subprocess.TimeoutExpired):
        return None
    root = done.stdout.strip()
    return next(iter(sorted(Path(root, "platform").glob(pattern))), None) if root else None
