"""A program that forks when its client is connected, as servers of web applications do."""

import os
import sys

from resonate_sdk import Resonate, UsageError

resonate = Resonate(group="forking")


@resonate.register
def double(ctx, n):
    return 2 * n


def say(*words: object) -> None:
    os.write(sys.stdout.fileno(), (" ".join(map(str, words)) + "\n").encode())


def child(handle, parent: str) -> None:
    try:
        say("child", double.run("child", 2), double.rpc("child-rpc", 3))
        say("child is", "another" if resonate.pid != parent else "the same")
        handle.result(60)
    except UsageError as error:
        say("child", error)
    resonate.stop()


say("parent", double.run("parent", 1))
waiting = resonate.options(target="nobody").begin_rpc("waiting", "unknown").created()
parent = resonate.pid
forked = os.fork()
if forked == 0:
    child(waiting, parent)
    os._exit(0)
say("child ended with", os.waitpid(forked, 0)[1])
say("parent", double.rpc("parent-rpc", 4), parent == resonate.pid)
resonate.stop()
