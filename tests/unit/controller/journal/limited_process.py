"""Writes to a journal until the file may grow no more, then until it may again. Prints what it saw as JSON.

python limited_process.py PATH
"""

import json
import resource
import sys
import time
from pathlib import Path

from nas_controller.journal.sqlite import SqliteJournal
from study import Study, random_writes  # type: ignore[import-not-found]  # this file is run as a script


def main(path: Path) -> None:
    journal = SqliteJournal(path, "default/digits")
    writes = random_writes(Study(), seed=5)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    futures = []
    while not journal.problem():
        futures.append(journal.write(*next(writes)))
        time.sleep(0.0005)
    problem = journal.problem()
    # all this while nothing can be written, and more comes in
    futures += [journal.write(*next(writes)) for _ in range(200)]
    waiting = sum(not future.done() for future in futures)
    durable = int(journal.recover().facts["write"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    for future in futures:
        future.result()
    seen = {"problem": problem, "waiting": waiting, "durable": durable, "written": len(futures)}
    print(json.dumps(seen | {"problem_after": journal.problem()}))
    journal.close()


main(Path(sys.argv[1]))
