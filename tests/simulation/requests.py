"""Random requests of every kind: most of them sensible, some stale, some nonsense.

A client knows what it has been told, and aims with that: at tasks that somebody holds, at
promises that are open, at versions that were true when it heard of them.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from resonate_broker.integration import invocation
from resonate_broker.integration.invocation import Invoke
from resonate_sdk.protocol.addresses import ReplyAddress
from resonate_sdk.protocol.records import PromiseRecord, TaskRecord, Value
from resonate_store.state import InboxRow

Data = dict[str, Any]
GROUPS = ("g", "h")
ORIGINS = "abcdef"
CHILDREN = 5
POISON = "poison"  # a value that the database refuses, for a reason that nobody thought of


class Knowledge:
    """What one client has been told.

    Attributes:
        pid: its name.
        now_ms: the clock it goes by.
        promises: the last record it saw of each.
        tasks: the last record it saw of each.
        hinted: tasks that may be acquired, at these versions.
        held: tasks it believes to hold, at these versions.
        schedules: those it has seen.
        reported: the task, and its version, of which it has told something last.
    """

    def __init__(self, pid: str, now_ms: Callable[[], int]) -> None:
        self.pid = pid
        self.now_ms = now_ms
        self.promises: dict[str, PromiseRecord] = {}
        self.tasks: dict[str, TaskRecord] = {}
        self.hinted: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.schedules: dict[str, None] = {}
        self.reported: tuple[str, int] = ("", 0)

    def forget(self) -> None:
        """The process starts anew."""
        for known in (self.promises, self.tasks, self.hinted, self.held, self.schedules):
            known.clear()


class Requests:
    """Makes requests for one client."""

    def __init__(
        self,
        random: Random,
        knowledge: Knowledge,
        generation: Callable[[], int],
        limited: Sequence[str] = (),
        services: Sequence[str] = (),
    ) -> None:
        """Make requests from what a client knows.

        Args:
            random: where choices come from.
            knowledge: of the client.
            generation: goes up with time, so that there is always something new.
            limited: groups that have had limits before anybody used them, and always have some.
            services: targets that know no protocol.
        """
        self._random = random
        self._known = knowledge
        self._generation = generation
        self._limited = limited
        self._services = services

    def make(self) -> tuple[str, Data]:
        """One request: its kind and its data."""
        (make,) = self._random.choices(_MAKERS, _WEIGHTS)
        return make(self)

    def advance(self, id: str, version: int) -> list[tuple[str, Data]]:
        """What a worker does with a task: call somebody, and wait for that."""
        child_id = f"{id}.{self._random.randrange(CHILDREN)}"
        child = self._create(is_targeted=self._random.random() < 0.5, id=child_id)
        fence = {"kind": "promise.create", "data": child}
        await_ = {
            "kind": "promise.register_callback",
            "data": {"awaited": child["id"], "awaiter": id},
        }
        return [
            ("task.fence", {"id": id, "version": version, "action": fence}),
            ("task.suspend", {"id": id, "version": version, "actions": [await_]}),
        ]

    def call(self, number: int) -> InboxRow:
        """What an application leaves for servers to make a promise of."""
        id = self._new_id()
        tags = self._tags(is_targeted=self._random.random() < 0.9)
        return InboxRow(
            number=number,
            id=id,
            timeout_at_ms=max(0, self._deadline()),
            tags=tags | self._lineage(id, is_targeted=True),
            param=msgspec.convert(self._value(), Value),
        )

    def invocation(self) -> Invoke:
        """What a service publishes that knows no protocol."""
        random = self._random
        headers: dict[str, Any] = {
            "resonate-func": random.choice(("f", "f", "f", "g")),
            "resonate-target": random.choice(GROUPS),
            "resonate-timeout": random.choice((300, 3_000, 200_000)),
        }
        if random.random() < 0.2:
            headers["resonate-delay"] = random.choice((1, 900))
        queue, number = self._known.pid, str(random.randrange(3))
        reply_to = random.choice((None, ReplyAddress(queue, number), ReplyAddress(queue, number)))
        return invocation.read(b"[1]", self._new_id(), headers, reply_to)

    def replace_schedule(self) -> list[tuple[str, Data]]:
        """Another schedule in the place of one, in the same batch."""
        _, data = self.schedule_create()
        return [("schedule.delete", {"id": data["id"]}), ("schedule.create", data)]

    # Aims

    def _new_id(self) -> str:
        origin = f"{self._random.choice(ORIGINS)}{self._generation()}"
        if self._random.random() < 0.4:
            return origin
        return f"{origin}.{self._random.randrange(CHILDREN)}"

    def _id(self) -> str:
        if self._known.promises and self._random.random() < 0.9:
            return self._random.choice(list(self._known.promises))
        return self._new_id()

    def _open_id(self) -> str:
        found = [id for id, seen in self._known.promises.items() if seen.state == "pending"]
        if found and self._random.random() < 0.9:
            return self._random.choice(found)
        return self._id()

    def _awaitable_id(self) -> str:
        found = [
            id
            for id, seen in self._known.promises.items()
            if any(f"resonate:{tag}" in seen.tags for tag in ("external", "target", "timer"))
        ]
        if found and self._random.random() < 0.9:
            return self._random.choice(found)
        return self._id()

    def _targeted_id(self) -> str:
        found = [id for id, seen in self._known.promises.items() if "resonate:target" in seen.tags]
        if found and self._random.random() < 0.9:
            return self._random.choice(found)
        return self._id()

    def _held(self) -> tuple[str, int]:
        """A task that this client holds, at its version or nearly so; or another one."""
        if self._known.held and self._random.random() < 0.85:
            id = self._random.choice(list(self._known.held))
            version = self._known.held[id]
        else:
            id = self._targeted_id()
            task = self._known.tasks.get(id)
            version = 1 if task is None else task.version
        if self._random.random() < 0.1:
            version = max(0, version + self._random.choice((-1, 1)))
        return id, version

    def _deadline(self) -> int:
        ms = self._random.choice((-5, 0, 300, 3_000, 20_000, 200_000, 2_000_000, 2_000_000))
        return self._known.now_ms() + ms

    def _value(self) -> Data:
        return self._random.choice(({}, {"data": "x"}, {"data": "y", "headers": {"h": "v"}}))

    def _tags(self, *, is_targeted: bool) -> dict[str, str]:
        random = self._random
        tags: dict[str, str] = {}
        if is_targeted:
            group = random.choice(GROUPS)
            tags["resonate:target"] = random.choice(
                (group, f"poll://any@{group}", f"any@{group}", f"poll://uni@{group}/{group}1")
            ).removeprefix("any@")
            if self._services and random.random() < 0.4:
                tags["resonate:target"] = random.choice(self._services)
            if random.random() < 0.3:
                tags["resonate:key"] = random.choice(("k", "l"))
            if random.random() < 0.1:
                tags["resonate:delay"] = str(self._known.now_ms() + random.choice((1, 900, 9_000)))
        elif (draw := random.random()) < 0.3:
            tags["resonate:timer"] = "true"
        elif draw < 0.5:
            tags["resonate:scope"] = "local"
        if random.random() < 0.02:
            tags |= random.choice(
                (
                    {"resonate:timer": "true", "resonate:target": "g"},
                    {"resonate:delay": "soon"},
                    {"resonate:target": "not an address"},
                    {"resonate:target": "g", "resonate:delay": "9" * 30},
                )
            )
        return tags

    def _lineage(self, id: str, *, is_targeted: bool) -> dict[str, str]:
        origin = id.partition(".")[0]
        is_remote = self._random.random() < (0.8 if is_targeted else 0.3)
        return {
            "resonate:origin": origin,
            "resonate:branch": id if is_remote else origin,
            "resonate:parent": origin,
        }

    def _create(self, *, is_targeted: bool, id: str | None = None) -> Data:
        id = id or self._new_id()
        param = {"data": POISON} if self._random.random() < 0.01 else self._value()
        tags = self._tags(is_targeted=is_targeted)
        tags |= self._lineage(id, is_targeted=is_targeted)
        return {"id": id, "timeoutAt": self._deadline(), "param": param, "tags": tags}

    def _settle(self, id: str) -> Data:
        state = self._random.choice(("resolved", "rejected", "rejected_canceled"))
        return {"id": id, "state": state, "value": self._value()}

    def _head(self) -> Data:
        return {"corrId": "inner"} if self._random.random() < 0.5 else {}

    def _address(self) -> str:
        return self._random.choice((f"poll://uni@g/{self._known.pid}", "poll://uni@g/gone", "h"))

    def _lease(self) -> int:
        return self._random.choice((1, 2_000, 15_000, 15_000, 60_000))

    # Kinds

    def promise_get(self) -> tuple[str, Data]:
        return "promise.get", {"id": self._id()}

    def promise_create(self) -> tuple[str, Data]:
        id = self._id() if self._random.random() < 0.2 else None
        create = self._create(is_targeted=self._random.random() < 0.6, id=id)
        listener = {"listener": self._address()} if self._random.random() < 0.4 else {}
        return "promise.create", create | listener

    def promise_settle(self) -> tuple[str, Data]:
        return "promise.settle", self._settle(self._open_id())

    def promise_register_callback(self) -> tuple[str, Data]:
        return "promise.register_callback", {
            "awaited": self._awaitable_id(), "awaiter": self._targeted_id(),
        }  # fmt: skip

    def promise_register_listener(self) -> tuple[str, Data]:
        return "promise.register_listener", {
            "awaited": self._awaitable_id(), "address": self._address(),
        }  # fmt: skip

    def promise_search(self) -> tuple[str, Data]:
        tags = {"resonate:origin": self._id().partition(".")[0]}
        return "promise.search", {"tags": tags, "limit": self._random.choice((1, 100))}

    def task_get(self) -> tuple[str, Data]:
        if self._random.random() < 0.5:
            return "task.get", {"id": self._targeted_id()}
        return "task.get", {"id": self._held()[0], "details": True}

    def task_create(self) -> tuple[str, Data]:
        id = self._id() if self._random.random() < 0.4 else None
        create = self._create(is_targeted=True, id=id)
        action = {"kind": "promise.create", "head": self._head(), "data": create}
        return "task.create", {"pid": self._known.pid, "ttl": self._lease(), "action": action}

    def task_acquire(self) -> tuple[str, Data]:
        if self._known.hinted and self._random.random() < 0.8:
            id = self._random.choice(list(self._known.hinted))
            version = self._known.hinted[id]
        else:
            id = self._targeted_id()
            task = self._known.tasks.get(id)
            version = 0 if task is None else task.version
        return "task.acquire", {
            "id": id, "version": version, "pid": self._known.pid, "ttl": self._lease(),
        }  # fmt: skip

    def task_release(self) -> tuple[str, Data]:
        id, version = self._held()
        return "task.release", {"id": id, "version": version}

    def task_fulfill(self) -> tuple[str, Data]:
        id, version = self._held()
        action = {"kind": "promise.settle", "head": self._head(), "data": self._settle(id)}
        return "task.fulfill", {"id": id, "version": version, "action": action}

    def task_suspend(self) -> tuple[str, Data]:
        id, version = self._held()
        aims = (self._open_id, self._awaitable_id, self._awaitable_id)
        awaited = {self._random.choice(aims)() for _ in range(self._random.choice((1, 1, 2, 3)))}
        actions = [
            {
                "kind": "promise.register_callback",
                "head": self._head(),
                "data": {"awaited": other, "awaiter": id},
            }
            for other in sorted(awaited - {id}) or [self._new_id()]
        ]
        return "task.suspend", {"id": id, "version": version, "actions": actions}

    def task_fence(self) -> tuple[str, Data]:
        id, version = self._held()
        if self._random.random() < 0.6:
            data = self._create(is_targeted=self._random.random() < 0.4)
            action = {"kind": "promise.create", "head": self._head(), "data": data}
        else:
            data = self._settle(self._open_id())
            action = {"kind": "promise.settle", "head": self._head(), "data": data}
        return "task.fence", {"id": id, "version": version, "action": action}

    def task_heartbeat(self) -> tuple[str, Data]:
        held = [self._held() for _ in range(self._random.choice((1, 1, 3)))]
        pid = self._known.pid if self._random.random() < 0.9 else "somebody"
        refs = [{"id": id, "version": version} for id, version in held]
        return "task.heartbeat", {"pid": pid, "tasks": refs}

    def task_report(self) -> tuple[str, Data]:
        id, version = self._held()
        if self._known.reported in self._known.held.items() and self._random.random() < 0.7:
            id, version = self._known.reported  # who has told something tells more
        self._known.reported = id, version
        reason = f"{self._known.pid} is out of {self._random.choice(('luck', 'time', 'paper'))}"
        report: Data = {"id": id, "version": version, "promise": id, "reason": reason}
        return "task.report", report | self._random.choice(({}, {"again": 100}, {"attempts": 2}))

    def task_halt(self) -> tuple[str, Data]:
        return "task.halt", {"id": self._targeted_id()}

    def task_continue(self) -> tuple[str, Data]:
        halted = [id for id, task in self._known.tasks.items() if task.state == "halted"]
        id = self._random.choice(halted) if halted else self._targeted_id()
        return "task.continue", {"id": id}

    def task_search(self) -> tuple[str, Data]:
        state = self._random.choice(("pending", "acquired", "suspended", "halted", "fulfilled"))
        return "task.search", {"state": state, "limit": self._random.choice((3, 100))}

    def _schedule_id(self) -> str:
        if self._known.schedules and self._random.random() < 0.8:
            return self._random.choice(list(self._known.schedules))
        return f"s{self._random.randrange(4)}"

    def schedule_get(self) -> tuple[str, Data]:
        return "schedule.get", {"id": self._schedule_id()}

    def schedule_create(self) -> tuple[str, Data]:
        random = self._random
        data: Data = {
            "id": self._schedule_id(),
            "cron": random.choice(("* * * * *", "* * * * *", "*/7 * * * *", "3 */2 * * *", "no")),
            "promiseId": random.choice(("{{.id}}.{{.timestamp}}", "{{.id}}.{{.timestamp}}", "a0")),
            "promiseTimeout": random.choice((0, 5_000, 90_000, 900_000)),
            "promiseParam": self._value(),
            "promiseTags": self._tags(is_targeted=random.random() < 0.5),
        }
        data["promiseTags"].pop("resonate:delay", None)
        more: Data = random.choice(
            ({}, {"overlap": "skip"}, {"missed": "latest"}, {"missed": "none"})
        )
        return "schedule.create", data | more

    def schedule_delete(self) -> tuple[str, Data]:
        return "schedule.delete", {"id": self._schedule_id()}

    def schedule_search(self) -> tuple[str, Data]:
        return "schedule.search", {"limit": self._random.choice((1, 10))}

    def group_get(self) -> tuple[str, Data]:
        return "group.get", {"name": self._random.choice(GROUPS)}

    def group_set(self) -> tuple[str, Data]:
        """Other limits for a group that has some; or any for one that nobody uses."""
        random = self._random
        data: Data = {"name": random.choice((*self._limited, "x"))}
        if random.random() < 0.5:
            rate = {"count": random.choice((1, 2, 5)), "per": random.randrange(300, 5_000)}
            data |= {"rate": rate, "concurrency": random.choice((0, 1, 2, 9))}
        elif random.random() < 0.5 or data["name"] != "x":
            data |= {"concurrency": random.choice((1, 2, 9)), "keyConcurrency": 1}
        return "group.set", data

    def group_workers(self) -> tuple[str, Data]:
        return "group.workers", self._random.choice(({}, {"group": self._random.choice(GROUPS)}))

    def group_list(self) -> tuple[str, Data]:
        return "group.list", {}

    def debug(self) -> tuple[str, Data]:
        kind = self._random.choice(("start", "stop", "reset", "tick", "snap"))
        return f"debug.{kind}", {"time": self._known.now_ms()}

    def hello(self) -> tuple[str, Data]:
        return "hello", {"pid": self._known.pid, "group": self._random.choice(GROUPS)}

    def nonsense(self) -> tuple[str, Data]:
        """A request of any kind that lacks or breaks something."""
        kind, data = self._random.choice(_MAKERS[:-1])(self)
        broken: Data = dict(data)
        name = self._random.choice(list(broken) or ["nothing"])
        broken[name] = self._random.choice((None, -1, "", [], {"x": 1}))
        return kind, broken


_WEIGHTED = {
    Requests.promise_get: 4,
    Requests.promise_create: 16,
    Requests.promise_settle: 8,
    Requests.promise_register_callback: 5,
    Requests.promise_register_listener: 5,
    Requests.promise_search: 2,
    Requests.task_get: 4,
    Requests.task_create: 10,
    Requests.task_acquire: 12,
    Requests.task_release: 4,
    Requests.task_fulfill: 6,
    Requests.task_suspend: 12,
    Requests.task_fence: 12,
    Requests.task_heartbeat: 5,
    Requests.task_report: 8,
    Requests.task_halt: 3,
    Requests.task_continue: 4,
    Requests.task_search: 2,
    Requests.schedule_get: 1,
    Requests.schedule_create: 2,
    Requests.schedule_delete: 1,
    Requests.schedule_search: 1,
    Requests.group_get: 1,
    Requests.group_set: 2,
    Requests.group_list: 1,
    Requests.group_workers: 1,
    Requests.debug: 1,
    Requests.hello: 1,
    Requests.nonsense: 3,
}
_MAKERS = tuple(_WEIGHTED)
_WEIGHTS = tuple(_WEIGHTED.values())
