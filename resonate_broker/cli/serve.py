"""`resonate serve`: a server."""

from resonate_broker.cli.logs import log_to_stderr
from resonate_broker.cli.output import Output
from resonate_broker.cli.servers import run_server
from resonate_broker.cli.settings import (
    AsJson,
    ConfigFile,
    DatabaseUrl,
    Listen,
    LogFormat,
    Namespace,
    Url,
    server_settings,
    shown_url,
)

EXAMPLES = (
    "Example: resonate serve --url amqp://app:secret@rabbit:5672/ "
    "--database-url postgresql://app:secret@db:5432/app"
)


def serve(
    url: Url = None,
    database_url: DatabaseUrl = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    listen: Listen = None,
    log_format: LogFormat = None,
    as_json: AsJson = False,
) -> None:
    """Run a server until SIGTERM or Ctrl-C; any number may run beside each other.

    The log goes to standard error. At the end, what was begun is finished first.
    """
    settings = server_settings(
        config, url, database_url, namespace, listen=listen, log_format=log_format
    )
    log_to_stderr(settings.log_level, as_json=as_json or settings.log_format == "json")
    ready = {
        "url": shown_url(settings.url),
        "database_url": shown_url(settings.database_url),
        "namespace": settings.namespace,
    }
    line = (
        f"Serving namespace {ready['namespace']} on {ready['url']} "
        f"with {ready['database_url']}, Ctrl-C ends it"
    )
    run_server(settings, lambda: Output(as_json=as_json).announce(ready, (line,)))
