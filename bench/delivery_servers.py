"""The servers of bench/delivery.py, each a process of its own, so that it takes no time from who is measured.

    python -m bench.delivery_servers push|mail SECONDS

Prints its URL; when its input ends, how many messages it has taken, and how many of them more than once.
"""

import json
import sys
from collections import Counter

from transforms.channels.email.local_smtp import LocalSmtp
from transforms.channels.push.local_fcm import LocalFcm


def main() -> None:
    """Serve until standard input ends."""
    kind, latency = sys.argv[1], float(sys.argv[2])
    server = LocalFcm.start(latency=latency) if kind == "push" else LocalSmtp.start()
    print(server.url, flush=True)
    sys.stdin.read()
    if isinstance(server, LocalFcm):
        taken = Counter(message["token"] for message in server.received)
    else:
        taken = Counter(address for mail in server.received for address in mail.recipients)
    twice = sum(times - 1 for times in taken.values())
    print(json.dumps({"messages": len(taken), "twice": twice}), flush=True)
    server.stop()


if __name__ == "__main__":
    main()
