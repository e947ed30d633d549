"""Where a port for probes is: `host:port` as people write it."""

PORT_MAX = 65_535


def address_of(listen: str) -> tuple[str, int] | None:
    """Host and port, if there are any; port 0 is any that is free.

    Raises:
        ValueError: it is neither empty nor both.
    """
    if not listen:
        return None
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise ValueError(f"{listen!r} is no host:port, as 127.0.0.1:9464")
    return host.strip("[]"), int(port)
