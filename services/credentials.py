"""Whether there are credentials of Google, found before anything is served: a worker that has none would end anew each
time, with a traceback that may hold the bytes of a key file.
"""

import os

from transforms.errors import WrongUse

__all__ = ["check_credentials"]

#: The variable that names the emulator of a service, which asks for no credentials.
_EMULATORS = {"pubsub": ("Pub/Sub", "PUBSUB_EMULATOR_HOST"), "bigtable": ("Bigtable", "BIGTABLE_EMULATOR_HOST")}


def check_credentials(flag: str, place: str) -> None:
    """Check that there are some, if a flag names a place at Google's. Whether they are enough is not asked.

    Raises:
      WrongUse: there are none, or their file cannot be read; the text shows nothing of it.
    """
    service, emulator = _EMULATORS.get(place.partition(":")[0], ("", ""))
    if not service or os.environ.get(emulator):
        return
    import google.auth  # noqa: PLC0415 - only for places at Google's

    from transforms.account import UNREADABLE, auth_fault  # noqa: PLC0415

    try:
        google.auth.default()
    except UNREADABLE as error:
        raise WrongUse(f"{flag}: no credentials for {service}: {auth_fault(error)}") from error
