"""The same job on a runner of Beam's own, with Beam's source: launched as `todoke run` does, and waited for.

    python -m bench.live_stock FLAGS OF todoke run, with --runner

Two things are made easier for that runner, which would stand still otherwise. It sets every step up anew for each
bundle: the store stays open. And it reads both subscriptions in one thread, waiting 30 s for messages of an empty one:
here an empty one answers at once.
"""

import sys
import warnings
from functools import cache
from typing import Any

from google.cloud.pubsub import SubscriberClient

from beam_pipelines import realtime
from transforms.storage.bigtable import store as bigtable

_pull = SubscriberClient.pull


def pull_at_once(client: SubscriberClient, **more: Any) -> Any:
    """Pull what is there."""
    return _pull(client, return_immediately=True, **more)


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)
    bigtable.BigtableStore = cache(bigtable.BigtableStore)
    SubscriberClient.pull = pull_at_once
    realtime.run(sys.argv[1:]).wait_until_finish()
