"""The tasks of somebody who uses Celery and knows nothing of us: `python -m celery -A this worker`."""

# pyright: reportMissingTypeStubs=false, reportUntypedFunctionDecorator=false

import os
from typing import Any

from tests.integration.amqp.plain.documented import program

_scope: dict[str, Any] = {}
exec(program('name="shop.price"'), _scope)
app: Any = _scope["app"]
app.conf.task_default_queue = os.environ["SHOP_QUEUE"]
app.conf.task_track_started = True
app.conf.broker_connection_retry_on_startup = True


@app.task(name="shop.reserve", bind=True, max_retries=2, default_retry_delay=0)
def reserve(self: Any, item: str) -> str:
    if self.request.retries < 2:
        raise self.retry(exc=LookupError(f"no {item} yet"))
    return f"{item} at attempt {self.request.retries} of {self.request.root_id}"


@app.task(name="shop.refuse", ignore_result=True)
def refuse(item: str) -> int:
    raise LookupError(f"no {item} here")
