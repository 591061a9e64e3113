"""Writes a study to a journal for ever, with up to 50 writes under way, and prints the number of each durable one.

python writer_process.py PATH SEED
"""

import os
import sys
import threading
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from nas_controller.journal.sqlite import SqliteJournal
from study import Study, random_writes  # type: ignore[import-not-found]  # this file is run as a script

under_way = threading.Semaphore(50)


def acknowledge(number: int, durable: "Future[None]") -> None:
    durable.result()
    os.write(1, f"{number}\n".encode())
    under_way.release()


def main(path: Path, seed: int) -> None:
    journal = SqliteJournal(path, "default/digits")
    # blobs that are large enough for the write-ahead log to be moved into the database many times over
    writes = random_writes(Study(snapshot_bytes=30_000, state_bytes=60_000), seed)
    for number, records in enumerate(writes, start=1):
        under_way.acquire()
        journal.write(*records).add_done_callback(partial(acknowledge, number))


main(Path(sys.argv[1]), int(sys.argv[2]))
