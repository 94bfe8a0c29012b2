"""Work on a queue and a store, to be cut off at any moment: threads append, and a job applies and acknowledges.

    python power_work.py FOLDER

What is answered is written to FOLDER/answers, a line each: id and payload. What a message causes is a user's row of its
name. Two messages of three are acknowledged in the transaction of that row, the others after it.
"""

import os
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

from transforms.events.live import queued
from transforms.events.live.inflight import InFlight
from transforms.events.live.queued import QueueFeed, QueuePlace, reading_queue
from transforms.events.queue import append as appending
from transforms.events.queue import file as opening
from transforms.events.queue.append import Queue
from transforms.storage.rows import UserRow
from transforms.storage.sqlite.store import SqliteStore

ROUNDS, THREADS = 25, 3


def main() -> None:
    folder = Path(sys.argv[1])
    path, store_path = folder / "events.db", folder / "store.db"
    answers = os.open(folder / "answers", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    ahead = threading.Semaphore(0)

    def append(queue: Queue, thread: int) -> None:
        for round_ in range(ROUNDS):
            if round_ == ROUNDS // 3:
                ahead.release()
            payloads = [f"{thread}.{round_}.{part}".encode().ljust(40 + 900 * part, b"-") for part in range(3)]
            for id_, payload in zip(queue.append(payloads), payloads, strict=True):
                os.write(answers, b"%d %s\n" % (id_, payload))

    place = QueuePlace(path, f"sqlite:{store_path}")
    with Queue(path, retain=0) as queue, reading_queue(place):
        threads = [threading.Thread(target=append, args=(queue, number)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for _ in threads:  # the job stays behind, so that some of what is answered is in the queue alone
            ahead.acquire()
        registry = InFlight()
        feed = QueueFeed(place, registry)
        with closing(SqliteStore(store_path)) as store:
            store._connection.execute("PRAGMA wal_autocheckpoint = 20")
            done = 0
            while done < ROUNDS * THREADS * 3:
                arrived = [each for _ in range(7) if (each := feed.next()) is not None]
                at_once = [each for each in arrived if len(each.payload) < 1_000]
                with store.transaction():
                    store.write_users([UserRow(each.payload.decode(), 1, b"", b"{}") for each in arrived])
                    registry.write_last(store, [each.handle for each in at_once])
                registry.settle([each.handle for each in arrived])
                done += len(arrived)
        feed.close()
        for thread in threads:
            thread.join()
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as beside:
            while beside.execute("SELECT total(count) FROM batches").fetchone()[0] >= done:  # until some are deleted
                time.sleep(0.01)


if __name__ == "__main__":
    # So that a short run has all that a long one has: deletions, marks, logs that are written into their files.
    appending.PRUNE_SECONDS, opening.LOG_PAGES, queued.MARK_SECONDS = 0.05, 20, 0.02
    main()
