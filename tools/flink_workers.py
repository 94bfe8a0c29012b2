"""The pool of Python workers that all TaskManagers of one machine share: `python -m tools.flink_workers PORT`.

In production each TaskManager has a pool of its own beside it. TaskManagers name their workers 1-1, 2-1 and so on, each
for itself, so that here one of them would stop another's. So nobody is stopped by name: a worker ends when the
TaskManager that it works for ends its connection, and the last of them with the pool.
"""

import signal
import sys
from typing import Any

from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

__all__ = ["main"]


class _Pool(BeamFnExternalWorkerPoolServicer):
    def StopWorker(self, *_: Any) -> Any:
        return beam_fn_api_pb2.StopWorkerResponse()


def main() -> None:
    """Serve until somebody ends this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets workers that have ended
    address, server = _Pool.start(use_process=True, port=int(sys.argv[1]))
    print(f"the pool listens at {address}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
