"""Whether a function that has failed is run again, and when."""

from collections.abc import Collection

from resonate_sdk.errors import NonRetryable, RetryAfter, UsageError
from resonate_sdk.execution.bodies import GeneratorBody
from resonate_sdk.execution.nodes import Activation
from resonate_sdk.options import class_name
from resonate_sdk.retry import Exponential, Never, RetryPolicy


def retry_delay_s(
    error: Exception,
    activation: Activation,
    default_policy: RetryPolicy | None,
    *,
    now_ms: int,
    deadline_ms: int,
) -> float | None:
    """Seconds before the next attempt; None if there is none.

    Args:
        error: what the attempt has raised.
        activation: the function.
        default_policy: for a function that was given none; None: by its kind.
        now_ms: the instant of the failure, epoch ms.
        deadline_ms: no attempt begins after it.
    """
    given = activation.given
    if isinstance(error, NonRetryable | UsageError) or getattr(error, "retryable", True) is False:
        return None
    if given.non_retryable and isinstance(error, given.non_retryable):
        return None
    if given.non_retryable_names and _is_named(error, given.non_retryable_names):
        return None
    policy = given.retry_policy or default_policy
    if policy is None:
        policy = Never() if _is_workflow(activation) else Exponential()
    delay_s = policy.next(activation.attempt)
    if delay_s is None:
        return None
    if isinstance(error, RetryAfter):
        delay_s = error.delay
    return None if now_ms + delay_s * 1000 > deadline_ms else delay_s


def _is_named(error: Exception, names: Collection[str]) -> bool:
    return any(class_name(cls) in names for cls in type(error).__mro__)


def _is_workflow(activation: Activation) -> bool:
    """Whether it waits for calls of its own: those are retried, not the function around them."""
    if isinstance(activation.body, GeneratorBody) or activation.callee.kind == "generator":
        return True
    assert activation.scope is not None, "a function that has failed had a context"
    return activation.scope.children > 0
