"""The command line as people meet it, as far as no server is needed."""

import re

import pytest
from typer.testing import CliRunner

from resonate_broker import dev
from resonate_broker.cli.program import app

COMMANDS = [
    ("serve",),
    ("migrate",),
    ("dev",),
    ("invoke",),
    ("tree",),
    ("topology", "show"),
    ("topology", "apply"),
    ("topology", "export"),
    ("topology", "doctor"),
    ("workers",),
    ("why",),
    ("schedules", "create"),
    ("schedules", "get"),
    ("schedules", "delete"),
    ("schedules", "search"),
    ("tasks", "get"),
    ("tasks", "search"),
    ("tasks", "halt"),
    ("tasks", "continue"),
    ("tasks", "release"),
    ("promises", "get"),
    ("promises", "search"),
    ("promises", "create"),
    ("promises", "resolve"),
    ("promises", "reject"),
    ("promises", "cancel"),
    ("triggers", "create"),
    ("triggers", "list"),
    ("triggers", "get"),
    ("triggers", "delete"),
    ("dlq", "list"),
    ("dlq", "show"),
    ("dlq", "replay"),
    ("dlq", "discard"),
    ("groups", "set"),
    ("groups", "get"),
    ("groups", "unset"),
    ("groups", "list"),
    ("history", "export"),
]
OPTION = re.compile(r"│\s+(?:\*\s+)?(--[a-z-]+)(.*)│")


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch, tmp_path) -> None:
    """Wide enough that no sentence is broken, and without settings of the developer."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERMINAL_WIDTH", "300")
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    return CliRunner().invoke(app, list(arguments), prog_name="resonate")


@pytest.mark.parametrize(
    "command", [(), ("promises",), ("schedules",), ("tasks",), ("topology",)], ids=" ".join
)
def test_without_a_command_the_help_is_shown(command):
    result = run(*command)

    assert result.exit_code == 0
    assert "Usage: resonate" in result.stdout
    assert result.stdout == run(*command, "--help").stdout


def test_the_version_is_shown():
    result = run("--version")

    assert result.exit_code == 0
    assert re.fullmatch(r"resonate \d+\.\d+\.\d+\S*\n", result.stdout)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_a_help_with_an_example_and_json(command):
    result = run(*command, "-h")

    assert result.exit_code == 0
    assert f"resonate {' '.join(command)} " in result.stdout.partition("Example")[2]
    assert "--json" in result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_option_has_a_help(command):
    shown = run(*command, "-h").stdout

    options = OPTION.findall(shown)
    assert options
    assert all(len(rest.split()) > 3 for _, rest in options), options


def test_the_singular_is_understood_and_not_advertised():
    assert run("promise", "get", "-h").exit_code == 0
    assert "│ promise " not in run("-h").stdout.partition("Commands")[2]
    assert "Did you mean 'promises'?" in run("promisse").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("promises", "get"), "Missing argument 'ID'."),
        (("promises", "get", ""), "an id has at least one character"),
        (("promises", "get", "x" * 1025), "an id has 1025 bytes, the limit is 1024"),
        (("promises", "get", "ü" * 600), "an id has 1200 bytes, the limit is 1024"),
        (("promises", "get", "a\0"), "holds a NUL character"),
        (("promises", "create", "a"), "Missing option '--timeout'"),
        (("promises", "create", "a", "-t", "30"), "'30' has no unit: write 500ms"),
        (("promises", "create", "a", "-t", "0s"), "'0s' is no time at all"),
        (("promises", "create", "a", "-t", "1h", "--param", "text"), "'text' is not JSON"),
        (("promises", "create", "a", "-t", "1h", "--tags", "k"), "'k' is no tag: write key=value"),
        (("promises", "create", "a", "-t", "1h", "--tags", "=v"), "'=v' is no tag"),
        (
            ("promises", "create", "a", "-t", "1h", "--tags", "resonate:target=x"),
            "tags beginning with 'resonate:' are reserved",
        ),
        (("promises", "create", "a", "-t", "1h", "--tags", f"k={'x' * 2000}"), "the limit is 1024"),
        (("promises", "resolve", "a", "--value", "{a:1}"), "'{a:1}' is not JSON"),
        (("promises", "resolve", "a", "--value", "[" * 5000), "is not JSON"),
        (("promises", "settle", "a"), "No such command 'settle'."),
        (("invoke", "a"), "Missing option '--func' / '-f'"),
        (("invoke", "a", "-f", "foo", "-t", "soon"), "'soon' is no duration: write 500ms"),
        (("invoke", "a", "-f", "foo", "--delay", "5"), "'5' has no unit"),
        (("invoke", "a", "-f", "foo", "--wait=soon"), "or a number of seconds"),
        (("invoke", "a", "-f", "foo", "--target", "a b"), "'a b' is no address"),
        (("invoke", "a", "-f", "foo", "--target", "uni@"), "is no address"),
        (("invoke", "a", "-f", "foo", "--version", "0"), "Invalid value for '--version'"),
        (("invoke", "a", "-f", "foo", "--json-args", "7"), "--json-args is an array"),
        (("invoke", "a", "-f", "foo", "--arg", "1", "--json-args", "[]"), "by position"),
        (("tree", "a", "b"), "unexpected extra argument"),
        (("tree", "a", "--namespace", "A B"), "setting 'namespace'"),
        (("tree", "a", "--url", "http://host"), "setting 'url' begins with http://"),
        (("workers", "--management-url", "rabbit:15672"), "setting 'management_url' is no URL"),
        (("topology", "show", "--group", "a.b"), "'a.b' is no group"),
        (("tree", "a", "--config", "nowhere.toml"), "cannot read nowhere.toml"),
        (("bogus",), "No such command 'bogus'."),
    ],
)
def test_an_error_of_usage_is_told_before_anything_is_connected(arguments, message):
    result = run(*arguments)

    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("file", "variable", "message"),
    [
        ("[kernel]\nbach = 1", None, "unknown setting 'kernel.bach'"),
        ("colour = 1", None, "unknown setting 'colour'"),
        ("[kernel]\nbatch = 0", None, "setting 'kernel.batch'"),
        ("oops", None, "resonate.toml is not TOML"),
        ("", ("RESONATE_KERNEL__BACH", "1"), "unknown setting 'kernel.bach'"),
        ("", ("RESONATE_PARTITIONS", "many"), "setting 'partitions'"),
    ],
)
def test_a_setting_that_is_not_known_or_possible_is_named(
    file, variable, message, monkeypatch, tmp_path
):
    (tmp_path / "resonate.toml").write_text(file)
    if variable is not None:
        monkeypatch.setenv(*variable)

    result = run("tree", "a")

    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {message}")


@pytest.mark.parametrize("command", ["serve", "dev"])
def test_a_log_level_that_does_not_exist_is_refused(command, monkeypatch):
    monkeypatch.setenv("RESONATE_LOG_LEVEL", "loud")
    monkeypatch.setattr(dev, "missing_packages", list)

    result = run(command)

    assert result.exit_code == 2
    assert "setting 'log_level' is one of debug, info, warning, error" in result.stderr


def test_packages_that_are_missing_are_named_with_the_command_to_install_them(monkeypatch):
    monkeypatch.setattr(dev, "missing_packages", lambda: ["postgresql", "rabbitmq-server"])

    result = run("dev")

    assert result.exit_code == 3
    assert result.stderr == (
        "Error: not installed: postgresql and rabbitmq-server, "
        "apt-get install postgresql rabbitmq-server\n"
    )
