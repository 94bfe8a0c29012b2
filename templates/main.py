"""What the launcher of Dataflow's flex templates runs in the image.

Nothing is defined here: what is pickled into a job must not be of `__main__`, which workers do not have.
"""

import sys

from todoke.template import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
