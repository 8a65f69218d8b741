"""The store against a model in plain Python: any order of calls, stops, kills and times must agree."""

import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agent.buffer.store import Store
from agent.contract.catalogue import Row
from tests.buffer.files import reading, seq_of_number

COMMIT_READINGS = 4
KEEP_DAYS = 2
NOW_TS = 1_800_000_000
AGES_DAYS = (3, None, KEEP_DAYS, 0, 400)

seq_ranges = st.lists(
    st.tuples(st.integers(1, 30), st.integers(0, 6)).map(lambda r: (r[0], r[0] + r[1])), max_size=3
)


class StoreMachine(RuleBasedStateMachine):
    """committed/held: seq to row; sent and marked: seqs; "marked" are the marks not yet committed."""

    @initialize()
    def begin(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr("agent.buffer.retention.time", SimpleNamespace(time=lambda: NOW_TS))
        self.folder = Path(tempfile.mkdtemp())
        self.number = 0
        self.committed: dict[int, Row] = {}
        self.held: dict[int, Row] = {}
        self.sent: set[int] = set()
        self.marked: list[set[int]] = []
        self.last_committed_seq = 0
        self.epoch = ""
        self.open()

    def open(self) -> None:
        self.store = Store(
            self.folder / "sinyal.db",
            max_bytes=4 << 20,
            commit_interval_s=3600,
            commit_readings=COMMIT_READINGS,
            keep_days=KEEP_DAYS,
        )
        self.store.open()
        self.epoch = self.epoch or self.store.epoch
        assert self.store.epoch == self.epoch
        self.first_commit = True

    def teardown(self) -> None:
        self.stop()
        assert [seq for seq, _ in seq_of_number(self.folder / "sinyal.db")] == sorted(self.committed)
        shutil.rmtree(self.folder)
        self.patch.undo()

    # ---- what the store should do ----

    def commit_model(self, *, prune: bool) -> int:
        self.sent.update(*self.marked)
        self.marked.clear()
        removed = self.prune_model() if prune or self.first_commit else 0
        self.committed |= self.held
        self.last_committed_seq = max([self.last_committed_seq, *self.held])
        self.held.clear()
        self.first_commit = False
        return removed

    def prune_model(self) -> int:
        expired = []
        known = [row["ts"] for _seq, row in sorted(self.committed.items()) if isinstance(row.get("ts"), int)]
        now_ts = min(NOW_TS, int(str(known[-1])) + 86400) if known else 0
        for seq in sorted(self.committed):
            if seq in self.sent:
                ts = self.committed[seq].get("ts")
                if isinstance(ts, int) and ts >= now_ts - KEEP_DAYS * 86400:
                    break
                expired.append(seq)
        for seq in expired:
            del self.committed[seq]
        return len(expired)

    def is_commit_due(self) -> bool:
        return len(self.held) + sum(map(len, self.marked)) >= COMMIT_READINGS

    def unsent(self) -> list[int]:
        return sorted(self.committed.keys() - self.sent.union(*self.marked))

    # ---- what may happen ----

    @rule(ages_days=st.lists(st.sampled_from(AGES_DAYS), min_size=1, max_size=6))
    def append(self, ages_days: list[int | None]) -> None:
        for age_days in ages_days:
            self.number += 1
            row = reading(self.number)
            row["ts"] = None if age_days is None else NOW_TS - age_days * 86400
            seq = max([self.last_committed_seq, *self.held]) + 1
            assert self.store.append(row) == seq
            self.held[seq] = {name: value for name, value in row.items() if value is not None}
            if self.first_commit or self.is_commit_due():
                self.commit_model(prune=False)

    @rule()
    def commit(self) -> None:
        self.store.commit()
        if self.held or self.marked:
            self.commit_model(prune=False)

    @rule()
    def prune(self) -> None:
        assert self.store.prune() == self.commit_model(prune=True)

    @precondition(lambda self: self.last_committed_seq > 0)
    @rule(picked=st.tuples(st.integers(0, 100), st.integers(0, 8)))
    def mark(self, picked: tuple[int, int]) -> None:
        first = 1 + picked[0] % self.last_committed_seq
        last = min(first + picked[1], self.last_committed_seq)
        self.store.mark_sent(first, last)
        self.marked.append(set(range(first, last + 1)))
        if self.is_commit_due():
            self.commit_model(prune=False)

    @rule(newest=st.booleans(), limit=st.integers(1, 12), leased=seq_ranges)
    def offer(self, newest: bool, limit: int, leased: list[tuple[int, int]]) -> None:
        taken = {seq for first, last in leased for seq in range(first, last + 1)}
        free = [seq for seq in self.unsent() if seq not in taken]
        run = free[-1:] if newest else free[:1]
        while run and len(run) < limit:
            following = run[0] - 1 if newest else run[-1] + 1
            if following not in free:
                break
            run = [following, *run] if newest else [*run, following]
        offered = self.store.unsent_rows(newest=newest, limit=limit, leased=leased)
        assert offered == [{**self.committed[seq], "seq": seq, "boot": 1} for seq in run]

    @rule()
    def stop_and_start(self) -> None:
        self.stop()
        self.open()

    def stop(self) -> None:
        self.store.close()
        if self.held or self.marked:
            self.commit_model(prune=False)

    @rule()
    def kill_and_start(self) -> None:
        # What a killed process leaves: the files as they are now, and nothing of what was in RAM.
        copies = {file: file.read_bytes() for file in self.folder.iterdir()}
        self.store.close()
        for file, content in copies.items():
            file.write_bytes(content)
        self.held.clear()
        self.marked.clear()
        self.open()

    @invariant()
    def counts_agree(self) -> None:
        counts = self.store.counts()
        assert (counts.stored, counts.unsent) == (len(self.committed), len(self.unsent()))
        assert counts.last_seq == self.last_committed_seq
        known = [self.committed[seq]["ts"] for seq in self.unsent() if "ts" in self.committed[seq]]
        assert counts.oldest_unsent_ts == (known[0] if known else None)


def test_the_store_agrees_with_the_model() -> None:
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=80,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
