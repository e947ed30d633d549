"""The application of Celery: what worker and client share."""

import os

from celery import Celery

app = Celery(
    "bench", broker=os.environ["BENCH_AMQP_URL"], backend=os.environ["BENCH_RESULT_BACKEND"]
)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_serializer="json",
    result_serializer="json",
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "16")),
    broker_transport_options={"confirm_publish": True},
    result_expires=3600,
    worker_redirect_stdouts=False,  # what is printed is for the benchmark
)


@app.task
def noop() -> None:
    """Do nothing."""


@app.task
def step() -> int:
    """Do as good as nothing."""
    return 1
