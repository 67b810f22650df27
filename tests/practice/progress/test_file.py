import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bnlab.practice.progress import Progress, file, tables
from bnlab.practice.progress import progress as records
from tests.practice.progress.children import ask, run, start

SOURCE = "def f(x):\n    return x  # é"
NOT_A_DATABASE = b"These are the notes of somebody." * 40

WRITE_FOREVER = """
for number in range(10 ** 9):
    text = f"{sys.argv[2]} {number}"
    progress.record_answer("endless", kind="quiz", points=[1], red_flags=[], score=0.5, text=text)
    assert progress.notice is None, progress.notice
    print(number, flush=True)
"""
WRITE_FIFTY = """
for number in range(50):
    progress.record_attempt(sys.argv[2], str(number), passed=True)
assert progress.notice is None, progress.notice
"""
WRITE_ONE = """
sys.stdin.readline()
progress.record_attempt("at-once", sys.argv[2], passed=True)
print(progress.notice or "")
"""
DIE_IN_A_TRANSACTION = """
store = sqlite3.connect(progress.path, isolation_level=None)
store.execute("PRAGMA cache_size = 1")  # so that pages go to the file before the transaction ends
store.execute("BEGIN IMMEDIATE")
for number in range(200):
    store.execute("INSERT INTO attempts VALUES ('half', ?, 0, NULL, '')", ("x" * 1000,))
os._exit(0)
"""
WRITE_WHERE_NOTHING_IS_ALLOWED = """
if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere
progress.record_attempt("new", "", passed=True)
print(progress.notice)
print(progress.summary())
"""
WRITE_ON_A_FULL_DISK = """
size = progress.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
progress.record_attempt("new", "x" * size, passed=True)
print(progress.notice)
print([task for task in progress.summary()])
"""


@pytest.fixture
def progress(tmp_path):
    return Progress(tmp_path)


@pytest.fixture
def begun(progress):
    """A store with something in it."""
    progress.record_attempt("begun", SOURCE, passed=True)
    assert progress.notice is None
    return progress


def set_aside(directory):
    return sorted(path.name for path in directory.iterdir() if path.name.startswith("progress-"))


# --- where it is kept


def test_nothing_is_created_before_the_first_write(tmp_path):
    progress = Progress(tmp_path / "a" / "b")
    assert (progress.summary(), progress.attempts("a"), progress.predictions()) == ({}, [], {})
    assert progress.count_requests("a", "hint") == 0
    assert list(tmp_path.iterdir()) == []
    assert progress.notice is None
    progress.record_request("a", "hint")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["progress.sqlite"]


def test_the_directory_is_that_of_the_environment_and_else_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("BNLAB_DATA_DIR", str(tmp_path))
    assert Progress().path == tmp_path / "progress.sqlite"
    monkeypatch.setenv("BNLAB_DATA_DIR", "")
    monkeypatch.setattr(records.platformdirs, "user_data_path", lambda name: tmp_path / name)
    assert Progress().path == tmp_path / "bnlab" / "progress.sqlite"


def test_a_directory_may_have_any_name(tmp_path):
    directory = tmp_path / "100% sure? #1 é"
    Progress(directory).record_attempt("a", "", passed=True)
    assert list(Progress(directory).summary()) == ["a"]


def test_the_file_has_a_rollback_journal_and_a_version(begun):
    assert ask(begun.path, "PRAGMA journal_mode") == [("delete",)]
    assert ask(begun.path, "PRAGMA user_version") == [(tables.SCHEMA_VERSION,)]


def test_the_module_imports_nothing_heavy(tmp_path):
    (loaded,) = run("print([name for name in ('torch', 'numpy', 'matplotlib') if name in sys.modules])", tmp_path)
    assert loaded == "[]"


# --- several processes


def test_two_writers_at_once_lose_nothing(tmp_path):
    writers = [start(WRITE_FIFTY, tmp_path, name) for name in ("first", "second")]
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    progress = Progress(tmp_path)
    for name in ("first", "second"):
        assert [attempt.source for attempt in progress.attempts(name)] == [str(number) for number in range(50)]


def test_a_locked_file_is_waited_for_and_then_left_as_it_is(begun, monkeypatch):
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.2)
    with closing(sqlite3.connect(begun.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        since = time.monotonic()
        begun.record_attempt("new", "", passed=True)
        assert time.monotonic() - since >= 0.2
        assert begun.notice == f"This was not added to your progress: database is locked ({begun.path})."
        assert begun.attempts("begun") == []
        assert begun.notice.endswith(f" Your progress could not be read: database is locked ({begun.path}).")
    assert set_aside(begun.path.parent) == []
    assert list(Progress(begun.path.parent).summary()) == ["begun"]


def test_a_write_waits_for_a_slow_reader(begun):
    reader = start(
        """
store = sqlite3.connect(progress.path, isolation_level=None)
store.execute("BEGIN")
store.execute("SELECT * FROM attempts").fetchall()
print("reading", flush=True)
import time; time.sleep(0.5)
""",
        begun.path.parent,
    )
    assert reader.stdout.readline() == "reading\n"
    begun.record_attempt("new", "", passed=True)
    assert begun.notice is None
    assert list(begun.summary()) == ["begun", "new"]
    reader.communicate(timeout=60)


def test_killed_writers_leave_every_acknowledged_write(tmp_path):
    chance = random.Random(20150211)
    progress, hot = Progress(tmp_path), 0
    for kill in range(60):
        with start(WRITE_FOREVER, tmp_path, str(kill)) as writer:
            acknowledged = writer.stdout.readline()
            time.sleep(chance.uniform(0, 0.02))
            os.kill(writer.pid, signal.SIGKILL)
            acknowledged += writer.stdout.read()
        hot += (tmp_path / "progress.sqlite-journal").exists()

        expected = [f"{kill} {number}" for number in acknowledged.split()]
        kept = [answer.text for answer in progress.answers("endless") if answer.text.startswith(f"{kill} ")]
        assert expected
        assert kept[: len(expected)] == expected
        assert len(kept) <= len(expected) + 1  # the last one may have been stored and not yet acknowledged
        assert ask(progress.path, "PRAGMA integrity_check") == [("ok",)]
    assert progress.notice is None
    assert set_aside(tmp_path) == []
    assert hot > 0  # some were killed in the middle of a transaction


def test_a_transaction_that_a_killed_process_left_is_rolled_back(begun):
    run(DIE_IN_A_TRANSACTION, begun.path.parent)
    journal = Path(f"{begun.path}-journal")
    assert journal.stat().st_size > 0
    assert begun.path.stat().st_size > 50_000  # part of the transaction is in the file
    assert list(begun.summary()) == ["begun"]
    assert begun.notice is None
    assert not journal.exists()


# --- files that cannot be used


def corrupt_page(path):
    """Overwrite a table's page; the header stays, so that the file opens."""
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


def lost_table(path):
    with closing(sqlite3.connect(path)) as store:
        store.execute("DROP TABLE attempts")
        store.commit()


def lost_pages(path):
    os.truncate(path, 4096)


@pytest.mark.parametrize(
    "spoil",
    [lambda path: path.write_bytes(NOT_A_DATABASE), corrupt_page, lost_table, lost_pages],
    ids=["not_a_database", "corrupt_page", "lost_table", "lost_pages"],
)
@pytest.mark.parametrize("reading", [True, False], ids=["read", "write"])
def test_a_damaged_file_is_set_aside_with_a_message(begun, spoil, reading):
    directory = begun.path.parent
    spoil(begun.path)
    spoilt = begun.path.read_bytes()
    if reading:
        assert begun.summary() == {}
    begun.record_attempt("new", "", passed=True)
    (aside,) = set_aside(directory)
    assert aside == f"progress-damaged-{datetime.now(UTC):%Y-%m-%d}.sqlite"
    assert (directory / aside).read_bytes() == spoilt
    assert begun.notice == (
        f"Your progress file was damaged. It is kept as {directory / aside}, and a new one is begun."
    )
    assert list(Progress(directory).summary()) == ["new"]


def test_a_newer_versions_file_is_set_aside_with_a_message(begun):
    directory = begun.path.parent
    ask(begun.path, "PRAGMA user_version = 99")
    before = begun.path.read_bytes()
    begun.record_attempt("new", "", passed=True)
    (aside,) = set_aside(directory)
    assert aside.startswith("progress-newer-")
    assert (directory / aside).read_bytes() == before
    assert "was written by a newer version of bnlab" in begun.notice
    assert list(begun.summary()) == ["new"]


def test_a_newer_versions_file_stays_while_somebody_writes_to_it(begun, monkeypatch):
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.2)
    ask(begun.path, "PRAGMA user_version = 99")
    with closing(sqlite3.connect(begun.path, isolation_level=None)) as newer:
        newer.execute("BEGIN IMMEDIATE")
        assert begun.summary() == {}
        assert "database is locked" in begun.notice
        assert set_aside(begun.path.parent) == []
        newer.execute("COMMIT")


def test_text_that_was_damaged_is_read_as_far_as_it_can_be(begun):
    with closing(sqlite3.connect(begun.path)) as store:
        store.execute("UPDATE attempts SET source = CAST(x'61ff62' AS TEXT)")
        store.commit()
    assert [attempt.source for attempt in begun.attempts("begun")] == ["a\ufffdb"]


def test_the_journal_of_a_damaged_file_is_set_aside_with_it(begun):
    begun.path.write_bytes(NOT_A_DATABASE)
    Path(f"{begun.path}-journal").write_bytes(b"a journal")
    assert begun.summary() == {}
    aside, journal = set_aside(begun.path.parent)
    assert journal == f"{aside}-journal"
    assert (begun.path.parent / journal).read_bytes() == b"a journal"
    assert not Path(f"{begun.path}-journal").exists()


def test_a_second_damaged_file_of_one_day_does_not_replace_the_first(begun):
    for content in (b"first" * 100, b"second" * 100):
        begun.path.write_bytes(content)
        begun.summary()
    assert sorted((begun.path.parent / name).read_bytes()[:3] for name in set_aside(begun.path.parent)) == [
        b"fir",
        b"sec",
    ]
    assert begun.notice.count("was damaged") == 2


def test_a_name_whose_journal_was_already_moved_is_not_used_again(begun):
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    orphan = begun.path.with_name(f"progress-damaged-{day}.sqlite-journal")
    orphan.write_bytes(b"moved by a process that was killed next")
    begun.path.write_bytes(NOT_A_DATABASE)
    begun.summary()
    assert set_aside(begun.path.parent) == [f"progress-damaged-{day}-2.sqlite", orphan.name]


def test_a_sound_file_is_not_set_aside(begun):
    begun._file._set_aside()  # as by a process that found damage just before another one replaced the file
    assert set_aside(begun.path.parent) == []
    assert begun.notice is None
    assert list(begun.summary()) == ["begun"]


def test_processes_that_find_the_damage_at_once_lose_nothing(tmp_path):
    for turn in range(5):
        directory = tmp_path / str(turn)
        directory.mkdir()
        (directory / "progress.sqlite").write_bytes(NOT_A_DATABASE)
        writers = [start(WRITE_ONE, directory, str(number)) for number in range(4)]
        for writer in writers:
            writer.stdin.write("\n")
            writer.stdin.flush()
        notices = [writer.communicate(timeout=60)[0].strip() for writer in writers]
        (aside,) = set_aside(directory)
        assert (directory / aside).read_bytes() == NOT_A_DATABASE
        assert sorted(attempt.source for attempt in Progress(directory).attempts("at-once")) == ["0", "1", "2", "3"]
        assert len([notice for notice in notices if "was damaged" in notice]) == 1
        assert notices.count("") == 3


# --- places that cannot be written


def test_a_directory_that_cannot_be_made_gives_a_notice(tmp_path):
    (tmp_path / "file").write_text("in the way")
    progress = Progress(tmp_path / "file" / "data")
    assert progress.summary() == {}
    assert progress.notice is None
    progress.record_attempt("a", "", passed=True)
    progress.record_attempt("a", "", passed=True)
    assert progress.notice.startswith("This was not added to your progress: ")
    assert progress.notice.count(str(progress.path)) == 1  # said once, however often it happens


def test_a_directory_in_the_files_place_gives_a_notice(progress):
    progress.path.mkdir()
    progress.record_attempt("a", "", passed=True)
    assert progress.summary() == {}
    assert "unable to open database file" in progress.notice


def test_a_read_only_directory_is_read_and_its_file_left_alone(begun):
    with tempfile.TemporaryDirectory() as directory:  # others may look into it, unlike into tmp_path
        shutil.copy(begun.path, directory)
        os.chmod(directory, 0o555)  # noqa: PTH101 - the directory's name is a string; not writable is the point
        notice, summary = run(WRITE_WHERE_NOTHING_IS_ALLOWED, directory)
        os.chmod(directory, 0o755)  # noqa: PTH101 - so that it can be removed
        assert notice.startswith("This was not added to your progress: ")
        assert summary == "{'begun': TaskSummary(attempts=1, passed=True, misconception=None)}"
        assert set_aside(Path(directory)) == []


def test_a_full_disk_gives_a_notice_and_keeps_what_there_was(begun):
    notice, summary = run(WRITE_ON_A_FULL_DISK, begun.path.parent)
    assert notice.startswith("This was not added to your progress: ")
    assert summary == "['begun']"
    assert set_aside(begun.path.parent) == []
    assert ask(begun.path, "PRAGMA integrity_check") == [("ok",)]
