"""Running a server, and making its tables: what `serve`, `migrate` and `dev` have in common."""

from collections.abc import Callable

from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.loops import run_fast, run_impatiently
from resonate_broker.cli.reasons import database_failure, rabbitmq_failure
from resonate_broker.config import Config
from resonate_store.store import SchemaError, StoreError, UnavailableError


def run_server(config: Config, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        config: of the server.
        on_ready: called when it takes requests.

    Raises:
        CommandError: it cannot start.
    """
    from resonate_broker.app import SettingError, StartError, serve

    try:
        run_fast(serve(config, on_ready))
    except SettingError as error:
        raise CommandError(str(error), ExitCode.USAGE) from error
    except StartError as error:
        match error.__cause__:
            case SchemaError():
                raise CommandError(str(error), ExitCode.REFUSED) from error
            case StoreError():
                raise database_failure(config, str(error)) from error
            case _:
                raise rabbitmq_failure(config, str(error)) from error


def missing_tables(config: Config) -> tuple[str, ...]:
    """Name what `make_tables` would apply.

    Raises:
        CommandError: the database cannot be reached.
        StoreError: it refuses.
    """
    from resonate_store.postgres.migrate import pending

    try:
        return run_impatiently(pending(config.database_url, config.namespace))
    except UnavailableError as error:
        raise database_failure(config, str(error)) from error


def make_tables(config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Bring the tables up to date; return the names of what was applied, and what is left to do.

    The latter are statements for somebody who may make roles, if the owner of the tables may not.

    Raises:
        CommandError: the database cannot be reached.
        StoreError: it refuses.
    """
    from resonate_store.postgres.migrate import migrate, submit_grants

    place = (config.database_url, config.namespace)
    try:
        return run_impatiently(migrate(*place)), run_impatiently(submit_grants(*place))
    except UnavailableError as error:
        raise database_failure(config, str(error)) from error
