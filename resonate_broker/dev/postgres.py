"""A private PostgreSQL server, from the programs of this machine."""

import os
import pwd
import shutil
import signal
import stat
import struct
from pathlib import Path
from typing import ClassVar

from resonate_broker.dev.folder import keep_password, write_whole
from resonate_broker.dev.instance import PrivateServer
from resonate_broker.dev.ports import LOOPBACK, first_byte_after
from resonate_broker.dev.process import Account, InstanceError, Launch, end_of_log
from resonate_broker.dev.programs import MissingProgramError, newest_first
from resonate_broker.dev.tls import Tls

DEBIAN_ROOT = Path("/usr/lib/postgresql")
DEBIAN_PACKAGE = "postgresql"
SERVER_ACCOUNT = "postgres"
SUPERUSER = "postgres"
INITDB_MS_MAX = 60_000

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    # Tests and measurements of a durable system are worth nothing without these three.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}

# The start-up message of protocol 3.0. A server that is still recovering answers with an error
# ("E"), one that serves clients asks for the password ("R").
PARAMETERS = f"user\0{SUPERUSER}\0database\0postgres\0\0".encode()
STARTUP_MESSAGE = struct.pack("!ii", 8 + len(PARAMETERS), 3 << 16) + PARAMETERS
AUTHENTICATION_REQUEST = b"R"


# Over TLS, everybody needs a certificate beside the password. Without it, there is only the database
# that everybody connects to who wants to know whether the server is up.
TLS_ACCESS = f"""\
hostssl all all {LOOPBACK}/32 scram-sha-256 clientcert=verify-ca
hostnossl postgres {SUPERUSER} {LOOPBACK}/32 scram-sha-256
"""


class PrivatePostgres(PrivateServer):
    """PostgreSQL with durable settings, TCP on loopback, and a password kept in the folder.

    PostgreSQL refuses to run as root: root runs it as the user `postgres`, who becomes the owner of
    the folder and must be able to reach it.
    """

    name: ClassVar[str] = "PostgreSQL"
    port_names: ClassVar[tuple[str, ...]] = ("postgres",)
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT  # "fast": does not wait for the clients
    start_ms_max: ClassVar[int] = 60_000
    stop_ms_max: ClassVar[int] = 20_000

    def __init__(self, folder: Path, tls: Tls | None = None) -> None:
        """Name the folder; with certificates, TLS is spoken on the same port."""
        super().__init__(folder)
        self._tls = tls

    @property
    def url(self) -> str:
        """The database `postgres` as its superuser."""
        password = keep_password(self._password_path)
        return f"postgresql://{SUPERUSER}:{password}@{LOOPBACK}:{self.port}/postgres"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _password_path(self) -> Path:
        return self.folder / "password"

    def _prepare(self, lock: int) -> Launch:
        programs = find_programs()
        account = server_account()
        keep_password(self._password_path)
        if account is not None:
            hand_over(self.folder, account)
            hand_over(self._password_path, account)
        if not self._data.exists():
            self._make_data(programs, account, lock)
        settings = SETTINGS | {"port": str(self.port)} | self._tls_settings(account)
        return Launch(
            command=[
                str(programs / "postgres"),
                "-D",
                str(self._data),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            environment=server_environment(),
            account=account,
        )

    def _tls_settings(self, account: Account | None) -> dict[str, str]:
        if self._tls is None:
            return {}
        access = self.folder / "hba.conf"
        write_whole(access, TLS_ACCESS, mode=0o644)
        tls = self._tls.copied_to(self.folder, account)
        return {
            "ssl": "on",
            "ssl_ca_file": str(tls.authority),
            "ssl_cert_file": str(tls.certificate),
            "ssl_key_file": str(tls.key),
            "hba_file": str(access),
        }

    def _make_data(self, programs: Path, account: Account | None, lock: int) -> None:
        # Under another name until it is whole: initdb may be killed in the middle.
        unfinished = self.folder / "data.new"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        command = [
            str(programs / "initdb"),
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            f"--pwfile={self._password_path}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        ]
        launch = Launch(command=command, environment=server_environment(), account=account)
        initdb = self._run(launch, lock)
        try:
            initdb.wait(INITDB_MS_MAX)
        finally:
            initdb.kill()
        if initdb.exit_code != 0:
            raise InstanceError(
                f"initdb ended with exit code {initdb.exit_code}, {end_of_log(self.log_path)}"
            )
        unfinished.rename(self._data)

    def _is_accepting(self) -> bool:
        return first_byte_after(STARTUP_MESSAGE, self.port) == AUTHENTICATION_REQUEST


def find_programs() -> Path:
    """Return the folder with `initdb` and `postgres`: of PATH, or of the newest Debian package.

    Raises:
        MissingProgramError: there is none.
    """
    on_path = shutil.which("postgres")
    candidates = [] if on_path is None else [Path(on_path).parent]
    for folder in (*candidates, *newest_first(DEBIAN_ROOT.glob("*/bin"))):
        if all(shutil.which(program, path=str(folder)) for program in ("initdb", "postgres")):
            return folder
    raise MissingProgramError(
        "PostgreSQL",
        looked_for=f"initdb and postgres in PATH or {DEBIAN_ROOT}/*/bin",
        package=DEBIAN_PACKAGE,
    )


def server_account() -> Account | None:
    """Return the user to run the server as; None is the user of this process."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(SERVER_ACCOUNT)
    except KeyError as error:
        raise InstanceError(
            f"PostgreSQL refuses to run as root, and there is no user {SERVER_ACCOUNT!r}"
        ) from error
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def server_environment() -> dict[str, str]:
    """Return this process's environment without what would redirect PostgreSQL (PGDATA, …)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def hand_over(path: Path, account: Account) -> None:
    """Make the account the owner of a path that it can reach.

    Raises:
        InstanceError: a folder above the path shuts the account out.
    """
    for parent in path.resolve().parents:
        if not _may_pass(parent, account):
            raise InstanceError(
                f"{parent} shuts out the user {SERVER_ACCOUNT!r}, whom PostgreSQL runs as: "
                f"choose another folder than {path}, or chmod o+x {parent}"
            )
    os.chown(path, account.uid, account.gid)


def _may_pass(folder: Path, account: Account) -> bool:
    status = folder.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
