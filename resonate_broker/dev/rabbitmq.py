"""A private RabbitMQ server, from the programs of this machine."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

from resonate_broker.dev.instance import PrivateServer
from resonate_broker.dev.ports import LOOPBACK, first_byte_after, kept_port
from resonate_broker.dev.process import InstanceError, Launch
from resonate_broker.dev.programs import MissingProgramError, newest_first
from resonate_broker.dev.tls import Tls

DEBIAN_ROOT = Path("/usr/lib/rabbitmq/lib")
DEBIAN_PACKAGE = "rabbitmq-server"

PROTOCOL_HEADER = b"AMQP\0\0\x09\x01"
METHOD_FRAME = b"\x01"
CONFIGURATION = "rabbitmq.conf"
CONTROL_S_MAX = 60

# What would lead RabbitMQ or Erlang to the files, ports and supervisors of somebody else.
FOREIGN_PREFIXES = ("RABBITMQ_", "ERL_", "NOTIFY_SOCKET", "CONF_ENV_FILE")


class PrivateRabbitMQ(PrivateServer):
    """RabbitMQ with its own epmd, cookie and user guest, all on loopback."""

    name: ClassVar[str] = "RabbitMQ"
    port_names: ClassVar[tuple[str, ...]] = (
        "amqp",
        "distribution",
        "epmd",
        "management",
        "amqps",
    )
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_ms_max: ClassVar[int] = 90_000
    stop_ms_max: ClassVar[int] = 30_000

    def __init__(
        self, folder: Path, tls: Tls | None = None, *, has_management: bool = False
    ) -> None:
        """Own a folder.

        Args:
            folder: of the data.
            tls: with certificates, TLS is spoken on a port of its own.
            has_management: with the management API it starts a second later and takes 10 MB more.
        """
        super().__init__(folder)
        self._tls = tls
        self._has_management = has_management

    @property
    def tls_port(self) -> int:
        """The port for clients with certificates."""
        return kept_port(self.folder, "amqps")

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}/"

    @property
    def management_url(self) -> str:
        """The management API, if it was asked for; its user is that of `url`."""
        assert self._has_management, "the server has no management API"
        return f"http://{LOOPBACK}:{kept_port(self.folder, 'management')}"

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on this server, and return what it prints.

        Raises:
            InstanceError: it refuses; the message has its words.
        """
        ended = subprocess.run(
            [find_server().with_name("rabbitmqctl"), *arguments],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CONTROL_S_MAX,
            check=False,
        )
        if ended.returncode != 0:
            raise InstanceError(f"rabbitmqctl {arguments[0]}: {ended.stderr or ended.stdout}")
        return ended.stdout

    def _prepare(self, lock: int) -> Launch:
        server = find_server()
        for name in ("home", "data", "log"):
            (self.folder / name).mkdir(exist_ok=True)
        plugins = "rabbitmq_management" if self._has_management else ""
        (self.folder / "enabled_plugins").write_text(f"[{plugins}].\n")
        if self._tls is not None:
            tls = self._tls.copied_to(self.folder, None)
            (self.folder / CONFIGURATION).write_text(
                f"listeners.ssl.1 = {LOOPBACK}:{self.tls_port}\n"
                f"ssl_options.cacertfile = {tls.authority}\n"
                f"ssl_options.certfile = {tls.certificate}\n"
                f"ssl_options.keyfile = {tls.key}\n"
                "ssl_options.verify = verify_peer\n"
                "ssl_options.fail_if_no_peer_cert = true\n"
            )
        return Launch(command=[str(server)], environment=self._environment())

    def _environment(self) -> dict[str, str]:
        management_port = kept_port(self.folder, "management")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(FOREIGN_PREFIXES)
        }
        return inherited | {
            # The name of the node is the name of its data: it must not depend on the host.
            "RABBITMQ_NODENAME": "resonate@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(kept_port(self.folder, "distribution")),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"+S {_schedulers()} "
                "-kernel inet_dist_use_interface {127,0,0,1} "
                f'-rabbitmq_management tcp_config [{{port,{management_port}}},{{ip,"{LOOPBACK}"}}]'
            ),
            "ERL_EPMD_PORT": str(kept_port(self.folder, "epmd")),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_CRASH_DUMP": str(self.folder / "log" / "erl_crash.dump"),
            "HOME": str(self.folder / "home"),  # of the cookie
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",  # to the log of the instance
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            # Without the variables the files in /etc/rabbitmq would count; at most one of these exists.
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / CONFIGURATION),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
        }

    def _is_accepting(self) -> bool:
        return first_byte_after(PROTOCOL_HEADER, self.port) == METHOD_FRAME


def _schedulers() -> int:
    """How many threads Erlang runs its processes on: as many as half of the cores.

    All of its clients are on this machine as well. With two threads on two cores each message
    wakes both, which costs a call of the benchmark 60 µs more.
    """
    return max(1, (os.cpu_count() or 1) // 2)


def find_server() -> Path:
    """Return the program of the newest Debian package, or the one in PATH.

    Debian has a wrapper in PATH that changes the user and reads the configuration of the machine's
    own server; hence the package comes first.

    Raises:
        MissingProgramError: there is none.
    """
    packaged = newest_first(DEBIAN_ROOT.glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    if packaged:
        return packaged[0]
    on_path = shutil.which("rabbitmq-server")
    if on_path is not None:
        return Path(on_path)
    raise MissingProgramError(
        "RabbitMQ",
        looked_for=f"rabbitmq-server in {DEBIAN_ROOT} or PATH",
        package=DEBIAN_PACKAGE,
    )
