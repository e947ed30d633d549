"""`resonate migrate`: make or update the tables."""

from resonate_broker.cli.arguments import DryRun
from resonate_broker.cli.logs import log_nothing
from resonate_broker.cli.output import Output
from resonate_broker.cli.servers import make_tables, missing_tables
from resonate_broker.cli.settings import (
    AsJson,
    ConfigFile,
    DatabaseUrl,
    Namespace,
    database_settings,
    shown_url,
)

EXAMPLES = "Example: resonate migrate --database-url postgresql://app:secret@db:5432/app"


def migrate(
    database_url: DatabaseUrl = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make the tables in the database, or bring them up to date; nothing is lost by a repetition.

    Servers of this release and of the one before it can go on running meanwhile.
    """
    from resonate_store.postgres.migrate import migrations

    settings = database_settings(config, database_url, namespace)
    log_nothing()
    if dry_run:
        missing = missing_tables(settings)
        lines = [f"{name} would be applied" for name in missing] or ["Nothing is missing"]
        document = {"namespace": settings.namespace, "missing": missing}
        Output(as_json=as_json).show(document, lines)
        return
    applied, grants = make_tables(settings)
    version = migrations()[-1].version
    place = f"schema {settings.namespace} of {shown_url(settings.database_url)}"
    lines = [f"Applied {name}" for name in applied]
    lines.append(f"{'Now' if applied else 'Already'} up to date (version {version}): {place}")
    if grants:
        lines.append(
            f"Applications cannot have the role {settings.namespace}_submit yet: the owner of the "
            "tables may not make it. Let somebody who may run:"
        )
        lines += [f"    {statement};" for statement in grants]
    document = {
        "namespace": settings.namespace,
        "applied": applied,
        "version": version,
        "grants": grants,
    }
    Output(as_json=as_json).show(document, lines)
