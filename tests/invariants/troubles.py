"""Ours: what the holders of a task have told is kept until another pass gets further."""

from collections.abc import Iterator

from resonate_sdk.protocol.requests import Request, TaskGet, TaskReport
from resonate_sdk.protocol.responses import Answer, TaskData
from tests.invariants.stored import Step


def trouble_faults(step: Step, request: Request, answer: Answer) -> Iterator[str]:
    """A report is kept if its sender holds the task; who asks for details gets the last one."""
    told, before = step.after.troubles, step.before.troubles
    if isinstance(request, TaskReport) and answer.is_ok:
        if told[request.id].trouble.reason != request.reason:
            yield f"trouble: {request} is not kept: {told[request.id]}"
    elif told != before:
        yield f"trouble: {request} has changed what was told"
    if isinstance(request, TaskGet) and request.details and isinstance(answer.data, TaskData):
        task, last = answer.data.task, told.get(request.id)
        assert task.details is not None, "details were asked for"
        is_of_this_pass = last is not None and last.version == task.version
        if task.details.trouble != (None if last is None else last.trouble):
            is_over = task.state in ("suspended", "fulfilled")
            if task.details.trouble is not None or (is_of_this_pass and not is_over):
                yield f"trouble: {task} does not tell {last}"
