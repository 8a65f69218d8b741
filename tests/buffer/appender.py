"""Appends readings until it is killed or has stored enough, and tells each step on stdout.

python -m tests.buffer.appender PATH FIRST COUNT COMMIT_READINGS
A row that is refused is offered again, as the sampler does. Lines: "S seq number" stored,
"O epoch seq number" offered for sending, "F text" a failure.
"""

import os
import sys
from pathlib import Path

from agent.buffer import store_file
from agent.buffer.store import Store
from agent.errors import StoreUnusable
from tests.buffer.files import reading


def say(*words: object) -> None:
    # One write per line, so that a killed process leaves no half line before another.
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def main() -> None:
    store_file.RETRY_S = 0.0
    path, (first, count, commit_readings) = Path(sys.argv[1]), map(int, sys.argv[2:])
    store = Store(
        path, max_bytes=4 << 20, commit_interval_s=60, commit_readings=commit_readings, keep_days=36_500
    )
    for number in range(first, first + count):
        row = reading(number)
        for _attempt in range(50):
            try:
                say("S", store.append(row), row["uptime_s"])
                break
            except StoreUnusable as failure:
                say("F", failure.what)
        try:
            offered = store.unsent_rows(newest=True, limit=5, leased=[])
            for unsent in offered:
                say("O", store.epoch, unsent["seq"], unsent["uptime_s"])
            if len(offered) == 5:
                store.mark_sent(int(str(offered[0]["seq"])), int(str(offered[2]["seq"])))
        except StoreUnusable as failure:
            say("F", failure.what)
    for _attempt in range(50):
        try:
            store.close()
            say("E")
            break
        except StoreUnusable as failure:
            say("F", failure.what)


if __name__ == "__main__":
    main()
