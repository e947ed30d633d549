"""Every status of every kind that simulations must reach, all seeds together."""

from resonate_sdk.protocol.requests import KINDS

_BY_KIND: dict[str, tuple[int, ...]] = {
    "promise.get": (200, 400, 404),
    "promise.create": (200, 400),
    "promise.settle": (200, 400, 404),
    "promise.register_callback": (200, 400, 404, 422),
    "promise.register_listener": (200, 400, 404, 422),
    "promise.search": (200, 400, 503),
    "task.get": (200, 400, 404),
    "task.create": (200, 400, 409, 422),
    "task.acquire": (200, 400, 404, 409),
    "task.release": (200, 400, 404, 409),
    "task.fulfill": (200, 400, 404, 409),
    "task.suspend": (200, 300, 400, 404, 409, 422),
    "task.fence": (200, 400, 404, 409),
    "task.heartbeat": (200, 400),
    "task.report": (200, 400, 404, 409),
    "task.halt": (200, 400, 404, 409),
    "task.continue": (200, 400, 404, 409),
    "task.search": (200, 400, 503),
    "schedule.get": (200, 400, 404),
    "schedule.create": (200, 400),
    "schedule.delete": (200, 400, 404),
    "schedule.search": (200, 400),
    "group.get": (200, 400),
    "group.set": (200, 400),
    "group.list": (200, 503),
    "group.workers": (200, 400),
    "debug.start": (403,),
    "debug.stop": (403,),
    "debug.reset": (403,),
    "debug.tick": (403,),
    "debug.snap": (403,),
    "hello": (200, 400),
}
# Triggers need RabbitMQ: a row that stands apart, and a queue.
SIMULATED = frozenset(kind for kind in KINDS if not kind.startswith("trigger."))
UNDECIDED = 500  # by a commit of unknown fate, or a value that the database refuses
WANTED = {(kind, status) for kind, statuses in _BY_KIND.items() for status in statuses} | {
    (kind, UNDECIDED)
    for kind in SIMULATED
    if kind != "hello" and not kind.startswith("debug.") and not kind.endswith((".search", ".list"))
}
