"""A file of promises belongs to one process at a time (C7)."""

import os
import sqlite3
import tempfile
import traceback
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from resonate_sdk import LocalServer, Resonate, ResonateError
from tests.acceptance.local.processes import script

NOBODY = 65_534


def is_one_sentence(text, path):
    """What a person can read: short, names the file, and tells nothing of our insides."""
    assert "\n" not in text
    assert str(path) in text
    for word in ("Traceback", "sqlite", "Error", "resonate_store", "0x"):
        assert word not in text.replace(str(path), "")
    return True


def test_a_second_process_gets_one_sentence_that_names_the_file(tmp_path):
    path = tmp_path / "promises.db"
    with script("owner", path) as first:
        first.wait_for("opened")

        with script("owner", path) as second:
            sentence = second.wait_for("refused")
            assert second.wait_for_end() == 1
        first.go_on()

        assert first.wait_for("state") == "pending", "the owner is not disturbed"
        first.wait_for("stopped")
    assert is_one_sentence(sentence, path)
    assert sentence.endswith(
        "it is open in another process, or in another client of this one: "
        "a file belongs to one client at a time"
    )


def test_an_error_that_nobody_catches_is_printed_without_what_lies_beneath(tmp_path):
    path = tmp_path / "promises.db"
    with Resonate.local(path=path), pytest.raises(ResonateError) as caught:
        Resonate.local(path=path)

    printed = "".join(traceback.format_exception(caught.value))
    assert printed.count("Traceback") == 1
    assert "sqlite3" not in printed


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_file_is_free_when_its_process_has_ended(tmp_path, end):
    path = tmp_path / "promises.db"
    with script("owner", path) as first:
        first.wait_for("opened")
        if end == "kill":
            first.kill()
        else:
            first.go_on()
            first.wait_for("stopped")
            assert first.wait_for_end() == 0

    with script("owner", path) as second:
        second.wait_for("opened")


def test_the_file_is_not_opened_twice_inside_one_process(tmp_path):
    path = tmp_path / "promises.db"
    with Resonate.local(path=path) as first:
        first.promises.create("p")

        with pytest.raises(ResonateError) as caught:
            Resonate.local(path=path)

        assert is_one_sentence(str(caught.value), path)
        assert first.promises.get("p").pending
        with script("owner", path) as other:
            assert str(path) in other.wait_for("refused"), "the lock survives the second try"


def test_the_file_can_be_opened_again_in_the_same_process_after_a_stop(tmp_path):
    path = tmp_path / "promises.db"
    with Resonate.local(path=path) as first:
        first.promises.create("p")

    with Resonate.local(path=str(path)) as second:
        assert second.promises.get("p").pending


def test_a_client_that_was_never_used_lets_its_file_go_when_it_is_stopped(tmp_path):
    path = tmp_path / "promises.db"
    Resonate.local(path=path).stop()

    Resonate.local(path=path).stop()


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\x00" + b"x" * 5000]
)
def test_a_file_of_another_kind_is_refused_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)

    with pytest.raises(ResonateError) as caught:
        Resonate.local(path=path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "customers.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table customers (name text)")
    before = path.read_bytes()

    with pytest.raises(ResonateError) as caught:
        Resonate.local(path=path)

    assert is_one_sentence(str(caught.value), path)
    assert "is another program's database: give path= a file of its own" in str(caught.value)
    assert path.read_bytes() == before


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    path = tmp_path / "nowhere" / "promises.db"

    with pytest.raises(ResonateError) as caught:
        Resonate.local(path=path)

    assert is_one_sentence(str(caught.value), path)
    assert f"there is no folder {path.parent}" in str(caught.value)


def test_a_folder_in_place_of_a_file_is_called_one(tmp_path):
    with pytest.raises(ResonateError) as caught:
        Resonate.local(path=tmp_path)

    assert is_one_sentence(str(caught.value), tmp_path)
    assert "it is a folder" in str(caught.value)


@pytest.fixture
def folder():
    """A folder that every user of the machine may enter."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@contextmanager
def ordinary_user():
    """Root may write everything: be somebody else."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.parametrize("what", ["promises", "nothing", "no file"])
def test_a_file_that_may_not_be_written_is_said_to_be_read_only(folder, what):
    path = folder / "promises.db"
    if what == "promises":
        Resonate.local(path=path).stop()
    elif what == "nothing":
        path.touch()
    if what != "no file":
        path.chmod(0o444)
    folder.chmod(0o555)

    with ordinary_user(), pytest.raises(ResonateError) as caught:
        Resonate.local(path=path)
    folder.chmod(0o755)

    assert is_one_sentence(str(caught.value), path)
    assert "this user may not write" in str(caught.value)


def test_path_and_server_contradict_each_other(tmp_path):
    server = LocalServer()
    with pytest.raises(ResonateError, match="path= or server="):
        Resonate.local(path=tmp_path / "promises.db", server=server)
    server.close()


def test_clients_of_one_process_share_a_file_through_one_server(tmp_path):
    server = LocalServer(tmp_path / "promises.db")
    with (
        Resonate.local(server=server, group="a") as first,
        Resonate.local(server=server, group="b") as second,
    ):
        first.promises.create("p")
        assert second.promises.get("p").pending
    server.close()
