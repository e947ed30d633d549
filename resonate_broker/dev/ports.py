"""Ports of private servers: chosen once, kept in the folder, on loopback only."""

import random
import socket
from pathlib import Path

from resonate_broker.dev.folder import write_whole
from resonate_broker.dev.process import InstanceError

LOOPBACK = "127.0.0.1"

# Below the range from which the kernel takes the ports of outgoing connections (32768 and up). From
# that range a client that tries to reach a server between two lives of it could be given the very
# port, connect to itself, and keep the server from coming back.
PORTS = range(16_000, 25_000)
DRAWS_MAX = 200
REPLY_MS_MAX = 1_000


def keep_port(folder: Path, name: str) -> int:
    """Choose a free port for that name, unless the folder has one already, and return it."""
    path = _path(folder, name)
    if not path.exists():
        taken = {int(other.read_text()) for other in folder.glob("*.port")}
        write_whole(path, f"{_draw(taken)}\n", mode=0o644)
    return int(path.read_text())


def free_port() -> int:
    """Choose a port on which nobody listens just now."""
    return _draw(set())


def kept_port(folder: Path, name: str) -> int:
    """Return the port that was chosen for that name.

    Raises:
        InstanceError: no server was ever started in this folder.
    """
    path = _path(folder, name)
    if not path.exists():
        raise InstanceError(f"{folder} has no port {name} before the first start")
    return int(path.read_text())


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        # As the servers do it: connections of a previous life in TIME_WAIT do not count.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def first_byte_after(greeting: bytes, port: int) -> bytes:
    """Say a protocol's greeting to a server; return the first byte of the answer, b"" if none."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=REPLY_MS_MAX / 1000) as connection:
            connection.sendall(greeting)
            return connection.recv(1)
    except OSError:
        return b""


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.port"


def _draw(taken: set[int]) -> int:
    source = random.SystemRandom()
    for _ in range(DRAWS_MAX):
        port = source.choice(PORTS)
        if port not in taken and is_free(port):
            return port
    raise InstanceError(f"no port between {PORTS[0]} and {PORTS[-1]} is free on {LOOPBACK}")
