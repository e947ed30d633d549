"""What calls mean that a program makes: which function, of which version, with which options."""

from collections.abc import Callable
from typing import Any

from resonate_sdk.client.calls import Calls
from resonate_sdk.client.executions import Asked, Executions
from resonate_sdk.client.handle import Handle
from resonate_sdk.client.schedules import Schedule, Schedules
from resonate_sdk.functions.function import given_to, registered_as
from resonate_sdk.functions.registry import Registered, Registry
from resonate_sdk.options import Options


class Asking(Calls):
    """Finds what is called, and has it started or scheduled.

    Attributes:
        schedules: promises at the instants of a calendar.
    """

    schedules: Schedules
    _registry: Registry
    _executions: Executions
    _given: Options

    def schedule(
        self, id: str, cron: str, func: Callable[..., Any] | str, *args: Any, **kwargs: Any
    ) -> Schedule:
        """Call a function at the instants of a calendar; saying so again does nothing.

        Args:
            id: the name of the schedule.
            cron: minute, hour, day of the month, month, day of the week, in UTC.
            func: a function registered here, or the name of one that is registered at the target.
            args: its arguments; storable as JSON.
            kwargs: likewise.

        Raises:
            AlreadyExistsError: the id belongs to another definition: delete that one first.
            InvalidError: the calendar is not valid.
        """
        if isinstance(func, str):
            asked = self._asked_by_name(func, args, kwargs)
        else:
            asked = self._asked(self._registered(func), args, kwargs, given_to(func))
        return self.schedules.put(self._executions.scheduled(id, cron, asked), replace=False)

    def schedule_registered(
        self,
        id: str,
        cron: str,
        registered: Registered,
        args: Any,
        kwargs: Any,
        given: Options,
    ) -> Schedule:
        """Call a registered function at the instants of a calendar."""
        asked = self._asked(registered, args, kwargs, given)
        return self.schedules.put(self._executions.scheduled(id, cron, asked), replace=False)

    def start_here(
        self, id: str, registered: Registered, args: Any, kwargs: Any, given: Options
    ) -> Handle[Any]:
        """Run a registered function in this process."""
        asked = self._asked(registered, args, kwargs, given)
        return self._executions.start(id, asked, here=True)

    def start_at_target(
        self, id: str, registered: Registered, args: Any, kwargs: Any, given: Options
    ) -> Handle[Any]:
        """Run a registered function in any process of its target's group."""
        asked = self._asked(registered, args, kwargs, given)
        return self._executions.start(id, asked, here=False)

    def _asked(self, registered: Registered, args: Any, kwargs: Any, given: Options) -> Asked:
        registered.callee.check_arguments(args, kwargs)
        return Asked(
            name=registered.name,
            version=registered.version,
            args=args,
            kwargs=kwargs,
            given=registered.remote_options.merged(self._given).merged(given),
            result_type=registered.callee.result_type,
        )

    def _asked_by_name(self, name: str, args: Any, kwargs: Any) -> Asked:
        version = self._registry.version_for(name, self._given.version)
        return Asked(name=name, version=version, args=args, kwargs=kwargs, given=self._given)

    def _find(self, name: str) -> Registered:
        return self._registry.by_name(name, self._given.version or 0)

    def _find_func(self, func: Any) -> Registered | None:
        return registered_as(self._registry, func, "resonate.run")

    def _start_by_name(self, id: str, name: str, args: Any, kwargs: Any) -> Handle[Any]:
        return self._executions.start(id, self._asked_by_name(name, args, kwargs), here=False)
