"""Invariants 40 to 44, 53, 72, 77 and 78: what a step sends."""

from collections.abc import Iterator

from resonate_broker import rules
from resonate_broker.kernel.submissions import Outgoing
from resonate_sdk.protocol import addresses, tags
from resonate_sdk.protocol.addresses import Address, ExchangeAddress, ReplyAddress
from resonate_sdk.protocol.messages import Hint, Invoke, Notify, Resume
from tests.invariants.stored import Step


def message_faults(step: Step) -> Iterator[str]:
    """What is wrong with the messages of a step, by the names of the specification."""
    for outgoing in step.sent:
        match outgoing.message:
            case Invoke() | Resume() as hint:
                yield from _hint_faults(step, outgoing, hint)
            case Notify() as news:
                yield from _news_faults(step, outgoing, news)
    told = [outgoing.listener for outgoing in step.sent if outgoing.listener is not None]
    if len(set(told)) != len(told):
        yield "listener_consumption_enqueues_unblock: told twice in one step"  # 72


def _hint_faults(step: Step, outgoing: Outgoing, hint: Hint) -> Iterator[str]:
    id, version = hint.data.task.id, hint.data.task.version
    promise = step.after.promises.get(id)
    if promise is None or promise.task is None:
        yield f"outbox_execute_names_existing_task: {id}"  # 40
        return
    if not step.is_live(promise):
        yield f"execute_only_for_live_task: {id}"  # 53
    if (promise.task.state, promise.task.version) != ("pending", version):
        yield f"outbox_never_ahead: {id} at version {version}"  # 41 and 77
    target = addresses.parse_target(promise.tags[tags.TARGET])
    if isinstance(target, ExchangeAddress):
        if not outgoing.is_call:
            yield f"a_call_is_sent_as_such: {id}"
    elif (outgoing.group, outgoing.is_exclusive) != (target.group, target.cast == "uni"):
        yield f"outbox_execute_address_is_target_tag: {id} to {outgoing.group}"  # 42
    if not outgoing.is_call and isinstance(hint, Resume) != promise.task.is_resumed:
        yield f"resume_after_a_wake: {id}"


def _news_faults(step: Step, outgoing: Outgoing, news: Notify) -> Iterator[str]:
    record = news.data.promise
    promise = step.after.promises.get(record.id)
    if promise is None or promise.state == "pending":
        yield f"outbox_unblock_names_settled_promise: {record.id}"  # 43
    elif rules.record(promise) != record:
        yield f"unblock_carries_the_stored_record: {record.id}"  # 78
    if outgoing.listener is None or outgoing.listener.awaited != record.id:
        yield f"unblock_has_its_listener: {record.id} to {outgoing.listener}"  # 79
    elif not _is_for(outgoing, addresses.parse_listener(outgoing.listener.address)):
        yield f"outbox_unblock_address_deliverable: {record.id}"  # 44


def _is_for(outgoing: Outgoing, address: Address | ReplyAddress) -> bool:
    if isinstance(address, ReplyAddress):  # of somebody who knows no protocol
        return (outgoing.group, outgoing.pid, outgoing.is_exclusive) == ("", None, True)
    return address.group == outgoing.group
