"""What the libraries log about our connections is said once, by us, in a line."""

import logging
import threading

LOUD = ("aiormq.connection", "aiormq.channel", "aio_pika.connection", "aio_pika.channel")


class _Silence(logging.Filter):
    """Drops records of one thread, whose connections are all ours."""

    def __init__(self, thread_id: int) -> None:
        super().__init__()
        self._thread_id = thread_id

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread != self._thread_id


def silence_libraries() -> None:
    """Drop what aiormq and aio-pika log on the calling thread; elsewhere they may go on."""
    silence = _Silence(threading.get_ident())
    for name in LOUD:
        logging.getLogger(name).addFilter(silence)
