"""What the running agent answers about its reading database."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.keeper import Keeper
from agent.errors import SinyalError, StoreUnusable, UsageMistake
from agent.language import use_language
from agent.pipeline.buffer_control import buffer_answerers
from agent.pipeline.control import MAX_ANSWER_BYTES, ControlServer
from agent.pipeline.control_client import ask_daemon
from tests.buffer.files import reading


@pytest.fixture(autouse=True)
def english() -> None:
    use_language("en")


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(
        tmp_path / "sinyal.db",
        max_bytes=64 << 20,
        commit_interval_s=3600,
        commit_readings=1000,
        keep_days=3650,
    )
    made.start()
    yield made
    made.close()


@pytest.fixture
def server(tmp_path: Path, keeper: Keeper) -> Iterator[ControlServer]:
    running = ControlServer(tmp_path, buffer_answerers(keeper, tmp_path / "sinyal.db", 64 << 20))
    running.start()
    yield running
    running.stop(5)


def all_pages(folder: Path, **details: object) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after: object = ["", 0]
    while after is not None:
        page = ask_daemon(folder, "buffer_page", after=after, **details)
        assert len(json.dumps(page)) <= MAX_ANSWER_BYTES
        rows += [dict(zip(page["columns"], values, strict=True)) for values in page["rows"]]
        after = page["after"]
    return rows


@pytest.mark.usefixtures("server")
def test_pages_hold_also_what_was_not_committed_yet(tmp_path: Path, keeper: Keeper) -> None:
    for number in range(1, 501):
        keeper.append(reading(number))

    rows = all_pages(tmp_path)

    assert [row["seq"] for row in rows] == list(range(1, 501))
    assert {row["epoch"] for row in rows} == {keeper.epoch}
    assert [row["seq"] for row in all_pages(tmp_path, first_seq=3, last_seq=5)] == [3, 4, 5]


@pytest.mark.usefixtures("server")
def test_a_page_of_long_rows_is_cut_to_what_an_answer_holds(tmp_path: Path, keeper: Keeper) -> None:
    for number in range(1, 41):
        keeper.append({**reading(number), "operator_name": "ö" * 3000})

    assert [row["seq"] for row in all_pages(tmp_path)] == list(range(1, 41))


@pytest.mark.usefixtures("server")
def test_stats_counts_and_resend_agree(tmp_path: Path, keeper: Keeper) -> None:
    for number in range(1, 21):
        keeper.append(reading(number))
    keeper.commit()
    keeper.mark_sent(1, 10)

    stats = ask_daemon(tmp_path, "buffer_stats")
    assert (stats["stored"], stats["unsent"], stats["oldest_unsent_seq"]) == (20, 10, 11)
    counted = ask_daemon(tmp_path, "buffer_count", first_seq=6, last_seq=12)
    assert {name: counted[name] for name in ("stored", "unsent", "last_seq")} == {
        "stored": 7, "unsent": 2, "last_seq": 12,
    }  # fmt: skip
    assert ask_daemon(tmp_path, "buffer_resend", first_seq=6, last_seq=12)["rows"] == 5
    assert keeper.counts().unsent == 15


@pytest.mark.usefixtures("server")
def test_a_huge_range_is_worked_off_in_slices(tmp_path: Path, keeper: Keeper) -> None:
    keeper.append(reading(1))
    huge = {"first_seq": 1, "last_seq": 2**62}
    assert ask_daemon(tmp_path, "buffer_count", **huge)["last_seq"] == 10_000
    assert ask_daemon(tmp_path, "buffer_resend", **huge)["last_seq"] == 10_000


@pytest.mark.parametrize(
    ("ask", "details"),
    [
        ("buffer_page", {}),
        ("buffer_page", {"after": []}),
        ("buffer_page", {"after": ["", "0"]}),
        ("buffer_page", {"after": [1, 2]}),
        ("buffer_page", {"after": ["", 2**63]}),
        ("buffer_page", {"after": ["", True]}),
        ("buffer_page", {"after": ["", 0], "first_seq": "1"}),
        ("buffer_page", {"after": ["", 0], "since_ts": 1.5}),
        ("buffer_page", {"after": ["", 0], "last_seq": 2**63}),
        ("buffer_page", {"after": ["", 0], "first_seq": True}),
        ("buffer_count", {}),
        ("buffer_count", {"first_seq": 5, "last_seq": 4}),
        ("buffer_count", {"first_seq": 0, "last_seq": 4}),
        ("buffer_resend", {"first_seq": 1}),
        ("buffer_resend", {"first_seq": None, "last_seq": 1}),
    ],
)
def test_a_senseless_question_is_refused(
    server: ControlServer, tmp_path: Path, keeper: Keeper, ask: str, details: dict[str, object]
) -> None:
    with pytest.raises(SinyalError) as fault:
        ask_daemon(tmp_path, ask, **details)
    assert fault.value.exit_code == UsageMistake.exit_code
    assert fault.value.next_step
    assert keeper.append(reading(1)) == 1


@pytest.mark.usefixtures("server")
def test_readings_go_on_while_everything_is_exported(tmp_path: Path, keeper: Keeper) -> None:
    for number in range(1, 5001):
        keeper.append(reading(number))
    keeper.commit()
    slowest_s = 0.0
    exporting = threading.Thread(target=all_pages, args=(tmp_path,), kwargs={"last_seq": 5000})
    exporting.start()
    appended = 0
    while exporting.is_alive():
        began = time.monotonic()
        keeper.append(reading(5001 + appended))
        slowest_s = max(slowest_s, time.monotonic() - began)
        appended += 1
        time.sleep(0.01)
    exporting.join()

    assert appended > 3
    assert slowest_s < 5  # a keeper that takes longer has its callers give up


def test_a_disk_that_fails_is_told_to_the_asker(tmp_path: Path) -> None:
    (tmp_path / "sinyal.db").mkdir()
    made = Keeper(
        tmp_path / "sinyal.db", max_bytes=4 << 20, commit_interval_s=0, commit_readings=1, keep_days=1
    )
    with pytest.raises(StoreUnusable):
        made.start()
    running = ControlServer(tmp_path, buffer_answerers(made, tmp_path / "sinyal.db", 4 << 20))
    running.start()
    try:
        for ask, details in (("buffer_stats", {}), ("buffer_page", {"after": ["", 0]})):
            with pytest.raises(SinyalError) as fault:
                ask_daemon(tmp_path, ask, **details)
            assert str(tmp_path) in fault.value.what and fault.value.next_step
    finally:
        running.stop(5)
        made.close()
