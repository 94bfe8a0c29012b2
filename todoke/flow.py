"""`todoke flow`: entries, exits and size of a segment by minute, as a live job counts them."""

import msgspec

from beam_pipelines.options import WrongUse
from transforms.events.times import write_time
from transforms.metrics.flow import flows
from transforms.storage.open import open_store

__all__ = ["flow"]


def flow(segment: str, url: str, *, json: bool) -> None:
    """Print one line a window in which somebody entered or left.

    Raises:
      WrongUse: the URL is unknown.
      StoreError: the store cannot be read.
    """
    try:
        store = open_store(url, create=False)
    except ValueError as error:
        raise WrongUse(f"--store: {error}") from error
    rows = [row for series in ("entered", "left") for row in store.scan_metrics(f"{series}/{segment}/")]
    store.close()
    for each in flows(segment, rows):
        shown = {**msgspec.structs.asdict(each), "window": write_time(each.window)}
        print(msgspec.json.encode(shown).decode() if json else "\t".join(map(str, shown.values())))
