"""Invariants 59 to 62 and 68 to 74: how callbacks and listeners change, and tasks with them."""

from resonate_store.state import Promise, Task
from tests.invariants.promise_steps import PromiseTransition
from tests.invariants.stored import Step
from tests.invariants.task_steps import TaskTransition


# 59 and 61
def obligations_only_grow_while_pending(before: Promise, after: Promise, step: Step) -> bool:
    if after.state != "pending":
        return True
    return not (step.consumed_callbacks(after.id) or step.consumed_listeners(after.id))


# 60 and 62
def obligations_only_shrink_once_settled(before: Promise, after: Promise, step: Step) -> bool:
    if before.state == "pending":
        return True
    id = after.id
    return step.after.awaiters(id) <= step.before.awaiters(id) and step.after.addresses(
        id
    ) <= step.before.addresses(id)


# 68
def settlement_fulfils_task(before: Promise, after: Promise, step: Step) -> bool:
    is_settlement = before.state == "pending" and after.state != "pending"
    return not is_settlement or after.task is None or after.task.state == "fulfilled"


# 69
def task_fulfilment_needs_settlement(before: Promise, after: Promise, step: Step) -> bool:
    if before.task is None or after.task is None:
        return True
    is_fulfilment = before.task.state != "fulfilled" and after.task.state == "fulfilled"
    return not is_fulfilment or (before.state == "pending" and after.state != "pending")


# 70
def obligation_discharge_requires_settled(before: Promise, after: Promise, step: Step) -> bool:
    is_discharged = step.consumed_callbacks(after.id) or step.consumed_listeners(after.id)
    return not is_discharged or after.state != "pending"


# 71
def callback_consumption_resumes_awaiter(before: Promise, after: Promise, step: Step) -> bool:
    for awaiter in step.consumed_callbacks(after.id):
        task = step.after.task(awaiter)
        if task is None or (task.state != "fulfilled" and after.id not in task.resumes):
            return False
    return True


OBLIGATION_STEPS: tuple[PromiseTransition, ...] = (
    obligations_only_grow_while_pending,
    obligations_only_shrink_once_settled,
    settlement_fulfils_task,
    task_fulfilment_needs_settlement,
    obligation_discharge_requires_settled,
    callback_consumption_resumes_awaiter,
)


# 73
def wake_follows_callback_consumption(
    promise: Promise, before: Task, after: Task, step: Step
) -> bool:
    if before.state != "suspended" or after.state != "pending":
        return True
    return any(promise.id in step.consumed_callbacks(id) for id in after.resumes)


# 74, in the form that the handler of the specification keeps
def suspension_registers_callback(promise: Promise, before: Task, after: Task, step: Step) -> bool:
    if before.state == "suspended" or after.state != "suspended":
        return True
    return any(
        promise.id in awaiters and step.after.promises[id].state == "pending"
        for id, awaiters in step.after.callbacks.items()
    )


WAKE_STEPS: tuple[TaskTransition, ...] = (
    wake_follows_callback_consumption,
    suspension_registers_callback,
)
