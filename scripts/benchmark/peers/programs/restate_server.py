"""Becomes the server of Restate. Whether it serves is found out by the client, which registers the services."""

import os
import sys

from loops import ready

if __name__ == "__main__":
    ready()
    os.execv(sys.argv[1], [sys.argv[1]])
