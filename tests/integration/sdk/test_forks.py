"""A client in a process that is forked: the child begins anew, the parent does not notice."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.integration.amqp.server import ServerThread

SECONDS_MAX = 60
HANDLE = (
    "child this handle belongs to the process that has forked this one: write resonate.get(id), "
    "which gives one of its own"
)
LOCAL = (
    "child a server inside a process has no part in a fork of it: make the client in the child, or "
    "give it url='amqp://...'"
)


def printed_by_a_fork(environment: Mapping[str, str]) -> list[str]:
    ended = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("forking.py"))],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS_MAX,
    )
    return ended.stdout.splitlines()


def test_a_child_begins_anew_and_its_parent_goes_on(server: ServerThread):
    environment = {
        "RESONATE_URL": server.config.url,
        "RESONATE_NAMESPACE": server.config.namespace,
    }

    assert printed_by_a_fork(environment) == [
        "parent 2",
        "child 4 6",
        "child is another",
        HANDLE,
        "child ended with 0",
        "parent 8 True",
    ]


def test_a_server_inside_the_parent_is_not_there_in_a_child():
    assert printed_by_a_fork({"RESONATE_URL": ""}) == [
        "parent 2",
        LOCAL,
        "child ended with 0",
        "parent 8 True",
    ]
