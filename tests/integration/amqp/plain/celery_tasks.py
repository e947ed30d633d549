"""The tasks of somebody who uses Celery and knows nothing of us: `python -m celery -A this worker`."""

# pyright: reportMissingTypeStubs=false, reportUntypedFunctionDecorator=false

import os

from celery import Celery

app = Celery("shop", broker=os.environ["SHOP_BROKER"], backend="rpc://")
app.conf.task_default_queue = os.environ["SHOP_QUEUE"]
app.conf.broker_connection_retry_on_startup = True


@app.task(name="shop.price", track_started=True)
def price(item: str, count: int = 1) -> int:
    return len(item) * count


@app.task(name="shop.refuse", ignore_result=True)
def refuse(item: str) -> int:
    raise LookupError(f"no {item} here")
