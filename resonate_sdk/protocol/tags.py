"""The tag keys that mean something to the system; every other key belongs to the user."""

TARGET = "resonate:target"  # address of the worker group that runs the call: makes the task
TIMER = "resonate:timer"  # "true": resolves at its deadline instead of timing out
EXTERNAL = "resonate:external"  # "true": may be awaited although nobody in the system owns it
DELAY = "resonate:delay"  # earliest first dispatch, epoch ms, decimal
ORIGIN = "resonate:origin"  # id of the root of the execution tree
BRANCH = "resonate:branch"  # id of the promise whose task executes this one
PARENT = "resonate:parent"  # id of the creating invocation
PREFIX = "resonate:prefix"  # id of the very first root, inherited by detached calls
SCOPE = "resonate:scope"  # "local": runs inside the caller's task; "global": visible outside
SCHEDULE = "resonate:schedule"  # id of the schedule that created the promise
PRIORITY = "resonate:priority"  # 0-9, a wish about order inside a group
KEY = "resonate:key"  # concurrency key inside a group
FINGERPRINT = "resonate:fp"  # category and function of a child, for determinism checks
IDEMPOTENCY_KEY = "resonate:ikey"  # informative
FUNCTION = "resonate:fn"  # name@version of the called function
DESCRIPTION = "resonate:description"  # what the schedule is for that created the promise

_NAME_CHARS_MAX = 200
RESERVED_PREFIX = "resonate:"
SCOPE_LOCAL = "local"
SCOPE_GLOBAL = "global"
TRUE = "true"

KNOWN = frozenset(
    {
        TARGET,
        TIMER,
        EXTERNAL,
        DELAY,
        ORIGIN,
        BRANCH,
        PARENT,
        PREFIX,
        SCOPE,
        SCHEDULE,
        PRIORITY,
        KEY,
        FINGERPRINT,
        IDEMPOTENCY_KEY,
        FUNCTION,
        DESCRIPTION,
    }
)


def function(name: str, version: int) -> str:
    """The value of `FUNCTION`; what is too long to be a tag is cut."""
    return f"{name[-_NAME_CHARS_MAX:]}@{version}"


# No tag, but a header of values: the user of RabbitMQ who published what they came in.
USER_HEADER = "resonate:user"
