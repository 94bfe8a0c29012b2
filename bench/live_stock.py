"""The same job on a runner of Beam's own, with Beam's source: launched as `todoke run` does, and waited for.

python -m bench.live_stock FLAGS OF todoke run, with --runner
"""

import sys
from functools import cache

from beam_pipelines import realtime
from transforms.storage import bigtable

if __name__ == "__main__":
    # This runner sets every step up anew for each bundle; opening the store each time would be most of what it does.
    bigtable.BigtableStore = cache(bigtable.BigtableStore)
    realtime.run(sys.argv[1:]).wait_until_finish()
