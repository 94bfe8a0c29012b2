"""How long the command line takes to answer, compared with an interpreter that does nothing.

    python -m bench.startup [--runs N]

Wall seconds of whole processes, without the first run of each, which fills caches.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = 7
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "todoke --help": ["-m", "todoke", "--help"],
    "todoke validate examples/shop.yaml": ["-m", "todoke", "validate", "examples/shop.yaml"],
    "todoke run --help": ["-m", "todoke", "run", "--help"],
}


def measure(arguments: list[str]) -> float:
    """Seconds of one process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    flags = argparse.ArgumentParser()
    flags.add_argument("--runs", type=int, default=RUNS)
    runs = flags.parse_args().runs
    # In turns, so that a busy moment of the machine meets all of them.
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(runs + 1):
        for name, arguments in COMMANDS.items():
            elapsed = measure(arguments)
            if turn:
                seconds[name].append(elapsed)
    print(f"{'':36}{'best s':>8}{'median s':>10}   ({runs} runs)")
    for name, found in seconds.items():
        print(f"{name:36}{min(found):8.3f}{statistics.median(found):10.3f}")


if __name__ == "__main__":
    main()
