"""Why an execution is where it is: its tree, with who works on what."""

from itertools import count

from resonate_sdk.client.resonate import Resonate
from resonate_sdk.debug.histories import history
from resonate_sdk.debug.trees import tree
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import PromiseRecord, TaskRecord

TASKS_MAX = 100  # of the executions in a tree, so many are asked for


def explain(client: Resonate, id: str) -> str:
    """Show an execution like `tree`, with ages, who holds each task, and why it fails.

    Args:
        client: of the server that has it.
        id: of the execution.

    Raises:
        NotFoundError: there is none.

    Example:
        >>> resonate = Resonate.local()
        >>> @resonate.register
        ... def purchase(ctx):
        ...     yield ctx.run(lambda ctx: None)
        >>> purchase.run("order-7")
        >>> print(explain(resonate, "order-7"))  # doctest: +ELLIPSIS
        order-7 purchase@1 resolved after ... s
          order-7.1 <lambda> resolved after ... s
        >>> resonate.stop()
    """
    asked = count()

    def more(record: PromiseRecord) -> str:
        age_s = max(0, client.now_ms() - record.created_at_ms) / 1000
        said = f" for {age_s:g} s"
        if tags.TARGET not in record.tags or next(asked) >= TASKS_MAX:
            return said
        task = client.promises.task(record.id)
        return said if task is None else f"{said}, {_task(task, record)}"

    return tree(history(client, id), more=more)


def _task(task: TaskRecord, record: PromiseRecord) -> str:
    match task.state:
        case "acquired":
            said = f"run by {task.pid} (version {task.version})"
        case "pending":
            said = f"waits for a worker of {record.tags[tags.TARGET]}"
        case "suspended":
            said = "suspended"
        case "halted":
            said = "halted: mend what is wrong, then continue it"
        case "fulfilled":
            said = "fulfilled"
    trouble = task.details and task.details.trouble
    return said if trouble is None else f"{said}; {trouble.id} failed: {trouble.reason}"
