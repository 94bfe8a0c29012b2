"""The same job on a runner of Beam's own, with Beam's source: launched as `todoke run` does, and waited for.

python -m bench.live_stock FLAGS OF todoke run, with --runner
"""

import sys

from beam_pipelines import realtime

if __name__ == "__main__":
    realtime.run(sys.argv[1:]).wait_until_finish()
