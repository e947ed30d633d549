"""A worker process of a group with limits; its arguments are URL, namespace, group and a journal."""

import os
import sys
import time

from resonate_sdk import Context, Resonate

SECONDS = 0.05

url, namespace, group, journal = sys.argv[1:]
resonate = Resonate.remote(url, namespace=namespace, group=group, ttl=2)
out = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@resonate.register
def work(ctx: Context) -> str:
    os.write(out, f"{os.getpid()} + {ctx.id}\n".encode())
    time.sleep(SECONDS)
    os.write(out, f"{os.getpid()} - {ctx.id}\n".encode())
    return ctx.id


sys.stdout.write("ready\n")
sys.stdout.flush()
resonate.serve()
