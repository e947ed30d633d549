"""Every limit and default of the wire, with its unit; configuration may lower them.

Over a limit a request is answered with 400, naming the limit, its value and what was found.
"""

VERSION = "2026-04-01"
VERSIONS_SERVED = frozenset({VERSION})

ID_BYTES_MAX = 1024
NAMESPACE_PATTERN = r"[a-z0-9_-]{1,32}"
NAME_PATTERN = r"[A-Za-z0-9_-]{1,64}"  # a group or a process id
INSTANT_MS_MAX = 2**63 - 1

VALUE_BYTES_MAX = 1024 * 1024
VALUE_BYTES_IN_HINT_MAX = 256 * 1024  # a larger value is left out of task messages
TAGS_MAX = 64
TAG_KEY_BYTES_MAX = 128
TAG_VALUE_BYTES_MAX = 1024

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
ENVELOPES_PER_MESSAGE_MAX = 500
PRELOAD_BYTES_MAX = 4 * 1024 * 1024
AWAITED_PER_SUSPEND_MAX = 10_000
TASKS_PER_HEARTBEAT_MAX = 1_000
SEARCH_PAGE_MAX = 1_000
SEARCH_PAGE_DEFAULT = 100
SCHEDULE_PAGE_DEFAULT = 10
CRON_CHARS_MAX = 256
TIMEZONE_CHARS_MAX = 64
COUNT_MAX = 1_000_000  # of slots that a process tells of
TROUBLE_CHARS_MAX = 500  # why something fails, in words
GROUPS_MAX = 10_000
TRIGGERS_MAX = 200
AMQP_TEXT_BYTES_MAX = 255  # names of exchanges, routing keys and the like
PLACES_MAX = 10_000  # executions that a limited group may have at a time
RATE_COUNT_MAX = 1_000_000
RATE_PER_MS_MAX = 86_400_000
PRIORITY_MAX = 9
PRIORITY_DEFAULT = 4  # as in AMQP

LEASE_MS_DEFAULT = 15_000
LEASE_MS_MIN = 1
LEASE_MS_MAX = 24 * 3_600_000
PROMISE_TIMEOUT_MS_DEFAULT = 365 * 86_400_000

# Unfulfilled hints are sent again after these delays; the last one repeats.
RESEND_MS = (2_000, 5_000, 10_000, 20_000, 40_000, 60_000)

# A task whose holders keep losing their lease is dispatched again after these delays:
# the first entry is for the third loss in a row.
POISON_DELAY_MS = (10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000)
POISON_LOSSES_FREE = 2

DISPATCH_WINDOW = 1_000  # hints of one group on the broker at a time
STICKY_TTL_MS = 1_000  # how long a hint waits for the process that ran the execution last

ANSWER_TIMEOUT_MS = 10_000
REPEAT_MS_MAX = 30_000  # so long a request without a version may be carried out a second time
HELLO_TIMEOUT_MS = 5_000
HELLO_INTERVAL_MS = 30_000
PUBLISH_CONFIRM_TIMEOUT_MS = 5_000
CLOCK_SKEW_WARN_MS = 5_000
