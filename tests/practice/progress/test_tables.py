import shutil
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from bnlab.practice.progress import Progress, TaskSummary, tables
from tests.practice.progress.children import DIE_BEFORE, ask, run, start

VERSION_1 = """
CREATE TABLE attempts (task TEXT, source TEXT, passed INTEGER, misconception TEXT, at TEXT);
CREATE TABLE predictions (id TEXT PRIMARY KEY, choice TEXT, confidence INTEGER, at TEXT);
CREATE TABLE requests (task TEXT, kind TEXT, level INTEGER, at TEXT);
PRAGMA user_version = 1;
INSERT INTO attempts VALUES ('stable_variance', 'def f(): ...', 0, 'wrong-axes', '2026-03-04T20:15:30+00:00');
INSERT INTO predictions VALUES ('variance-equal-to-eps', 'b', 60, '2026-03-04T20:16:00+00:00');
INSERT INTO requests VALUES ('stable_variance', 'hint', 1, '2026-03-04T20:17:00+00:00');
"""
MARKS = {"kind": "quiz", "points": (1,), "red_flags": (), "score": 0.5}
BEGIN_A_SITTING = 'progress.begin_sitting("mock", {})'
BEGIN_AT_ONCE = """
sys.stdin.readline()
progress.record_answer(sys.argv[2], kind="quiz", points=[], red_flags=[], score=0.0)
print(progress.notice or "")
"""
READ_WHERE_NOTHING_IS_ALLOWED = """
if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere
print(progress.answers(), progress.notice)
"""
UPGRADE_ON_A_FULL_DISK = """
size = progress.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
print(progress.begin_sitting("mock", {}))
print(progress.notice)
"""


def as_first_published(directory):
    """A file as version 1 of the module wrote it."""
    path = directory / "progress.sqlite"
    with closing(tables.sqlite3.connect(path)) as store:
        store.executescript(VERSION_1)
    return path


@pytest.fixture
def old(tmp_path):
    as_first_published(tmp_path)
    return Progress(tmp_path)


def version(progress):
    ((number,),) = ask(progress.path, "PRAGMA user_version")
    return number


def keeps_version_1(progress):
    """Whether all that VERSION_1 put into the file is still found."""
    return (
        progress.summary() == {"stable_variance": TaskSummary(1, False, "wrong-axes")}
        and [row[:3] for row in progress.predictions().values()] == [("variance-equal-to-eps", "b", 60)]
        and progress.count_requests("stable_variance", "hint") == 1
    )


def test_an_old_file_is_read_and_left_as_it_is(old):
    before = old.path.read_bytes()
    assert keeps_version_1(old)
    assert (old.answers(), old.sittings(), old.choices(1)) == ([], [], {})
    assert old.notice is None
    assert old.path.read_bytes() == before


def test_an_old_file_is_upgraded_by_the_first_write(old):
    old.record_request("stable_variance", "solution")
    assert version(old) == 2
    assert keeps_version_1(old)
    old.record_answer("question", **MARKS)
    assert [one.question for one in old.answers()] == ["question"]
    assert old.notice is None


def test_an_upgraded_file_has_the_tables_of_a_new_one(old, tmp_path_factory):
    new = Progress(tmp_path_factory.mktemp("new"))
    for progress in (old, new):
        progress.begin_sitting("mock", {})
    schema = "SELECT name, sql FROM sqlite_master ORDER BY name"
    assert ask(old.path, schema) == ask(new.path, schema)


def test_a_refused_write_upgrades_nothing(old):
    old.end_sitting(1)
    assert old.notice is not None
    assert version(old) == 1


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE answers", "CREATE TABLE choices", "PRAGMA user_version = 2", "INSERT", "COMMIT"]
)
def test_an_upgrade_that_is_killed_leaves_the_old_file(old, statement):
    child = start(DIE_BEFORE + BEGIN_A_SITTING, old.path.parent, statement)
    child.communicate(timeout=60)
    assert child.returncode == -9
    assert keeps_version_1(old)
    assert version(old) == 1
    assert old.begin_sitting("mock", {}) == 1
    assert keeps_version_1(old)
    assert old.notice is None


def test_processes_that_upgrade_at_once_lose_nothing(tmp_path):
    for turn in range(3):
        directory = tmp_path / str(turn)
        directory.mkdir()
        as_first_published(directory)
        children = [start(BEGIN_AT_ONCE, directory, name) for name in "abcd"]
        for child in children:
            child.stdin.write("\n")
            child.stdin.flush()
        assert [child.communicate(timeout=60)[0] for child in children] == ["\n"] * 4
        progress = Progress(directory)
        assert sorted(one.question for one in progress.answers()) == list("abcd")
        assert keeps_version_1(progress)


def test_an_old_file_is_read_where_nothing_may_be_written(old):
    with tempfile.TemporaryDirectory() as directory:  # others may look into it, unlike into tmp_path
        shutil.copy(old.path, directory)
        Path(directory).chmod(0o555)
        assert run(READ_WHERE_NOTHING_IS_ALLOWED, directory) == ["[] None"]
        Path(directory).chmod(0o755)  # so that it can be removed


def test_a_full_disk_leaves_an_old_file_as_it_is(old):
    before = old.path.read_bytes()
    number, notice = run(UPGRADE_ON_A_FULL_DISK, old.path.parent)
    assert number == "None"
    assert notice.startswith("This was not added to your progress: ")
    assert keeps_version_1(old)
    assert old.path.read_bytes() == before


def test_an_old_file_that_lost_a_table_is_set_aside(old):
    ask(old.path, "DROP TABLE requests")
    assert old.count_requests("stable_variance", "hint") == 0
    assert "was damaged" in old.notice


def test_an_old_file_with_a_table_of_the_new_version_is_set_aside(old):
    ask(old.path, "CREATE TABLE answers (anything)")
    assert old.begin_sitting("mock", {}) == 1
    assert "was damaged" in old.notice


def test_a_sound_old_file_is_not_set_aside(old):
    old._file._set_aside()
    assert keeps_version_1(old)
    assert old.notice is None
