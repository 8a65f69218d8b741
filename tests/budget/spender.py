"""Spends bytes until it is killed, and says before each spending how much it will have spent.

python -m tests.budget.spender FOLDER: prints the running total; readings ask first, the rest is only counted.
"""

import os
import random
import sys
import time
from pathlib import Path

from agent.budget.ledger import Ledger
from agent.budget.limits import Limits
from tests.budget.conftest import open_store


def main() -> None:
    store = open_store(Path(sys.argv[1]))
    ledger = Ledger(store, Limits(10**9, 1, 0), lambda: (time.time(), True))
    ledger.load()
    mqtt = 0
    spent = 0

    def mqtt_total() -> int:
        return mqtt

    ledger.watch("mqtt", mqtt_total)
    dice = random.Random()
    os.write(1, b"0\n")
    while True:
        size = dice.choice((84, 84, 84, 2000, 8000))
        if size > 100:
            assert ledger.may_send_readings(size)
            mqtt += size
        else:
            ledger.charge("probes", size)
        spent += size
        os.write(1, f"{spent}\n".encode())


if __name__ == "__main__":
    main()
