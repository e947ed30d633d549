"""`resonate dlq`: what nobody could carry out, or answer."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from resonate_broker.cli.arguments import DryRun
from resonate_broker.cli.client import Client, talk
from resonate_broker.cli.durations import format_duration
from resonate_broker.cli.exits import CommandError, ExitCode
from resonate_broker.cli.logs import log_nothing
from resonate_broker.cli.loops import run_impatiently
from resonate_broker.cli.output import Output, plain
from resonate_broker.cli.progress import progress
from resonate_broker.cli.promise_view import field, instant_text
from resonate_broker.cli.reasons import rabbitmq_failure
from resonate_broker.cli.settings import AsJson, ConfigFile, Namespace, Url, client_settings
from resonate_broker.cli.tables import table_lines
from resonate_broker.config import Config
from resonate_broker.integration.dead_letters import DeadLetter, read
from resonate_sdk.clock import now_ms
from resonate_sdk.protocol.requests import PromiseGet
from resonate_sdk.protocol.responses import PromiseData
from resonate_sdk.protocol.topology import Names

LOOKED_AT_MAX = 10_000
LIMIT_DEFAULT = 100
SHOWN_CHARS_MAX = 160  # of a reason; `show` has all of it
LEFT = "left:"
WOULD_BE_SENT = "would be sent again"
HEADS = ("LETTER", "FIRST", "LAST", "FROM", "PUBLISHER", "PROMISE", "REASON")

app = typer.Typer(
    name="dlq",
    help="Look at dead letters, send them again, or throw them away.",
    no_args_is_help=True,
)

LetterIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Letters, as `list` names them.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="All letters that are there now.")]


class Found(msgspec.Struct, frozen=True):
    """A letter under the eyes of a command, and the two things that can be done with it."""

    letter: DeadLetter
    body: bytes
    publish_again: Callable[[], Awaitable[None]]
    remove: Callable[[], Awaitable[None]]


@app.command("list", epilog="Example: resonate dlq list --limit 20")
def list_letters(
    limit: Annotated[
        int,
        typer.Option("--limit", metavar="COUNT", min=1, max=LOOKED_AT_MAX, help="Look at so many."),
    ] = LIMIT_DEFAULT,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, oldest first."""
    letters = list[DeadLetter]()

    async def look(found: Found) -> bool:
        letters.append(found.letter)
        return len(letters) < limit

    _look_through(client_settings(config, url, namespace), look)
    letters.sort(key=lambda letter: letter.died_at_ms or 0)  # the broker puts back in any order
    document = {"letters": [letter_document(letter) for letter in letters]}
    lines = list(table_lines(HEADS, [_row(letter, now_ms()) for letter in letters]))
    Output(as_json=as_json).show(document, lines or [Text("no dead letters")])


@app.command(epilog="Example: resonate dlq show 3f2a9c41d07b")
def show(
    id: Annotated[str, typer.Argument(metavar="ID", help="A letter, as `list` names it.")],
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter in full."""
    shown = list[Found]()

    async def look(found: Found) -> bool:
        if found.letter.id == id:
            shown.append(found)
        return not shown

    _look_through(client_settings(config, url, namespace), look)
    _expect_all([id], [found.letter for found in shown])
    letter, body = shown[0].letter, shown[0].body
    document = {**letter_document(letter), "body": body.decode(errors="replace")}
    Output(as_json=as_json).show(document, letter_lines(letter, body, now_ms()))


@app.command(epilog="Example: resonate dlq replay 3f2a9c41d07b")
def replay(
    ids: LetterIds = None,
    every: All = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also letters whose promise is settled already.")
    ] = False,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Publish dead letters again where they came from; nothing runs twice by that.

    What belongs to a promise that is settled would change nothing: it stays, and is reported.
    """
    wanted = _wanted(ids, every=every)
    settings = client_settings(config, url, namespace)
    chosen = _choose(settings, wanted)
    _expect_all(ids or (), chosen)
    settled = {} if force else _settled(settings, chosen)
    again = {letter.id for letter in chosen if letter.promise_id not in settled}
    done = {} if dry_run else _act(settings, again, _send_again, "sending again")
    outcomes = {
        letter.id: done.get(letter.id, WOULD_BE_SENT)
        if letter.id in again
        else f"{LEFT} promise {letter.promise_id!r} is {settled[letter.promise_id or '']}"
        for letter in chosen
    }
    _report(outcomes, as_json=as_json)
    if len(again) < len(chosen):
        raise CommandError(
            "letters of settled promises were left: discard them, or use --force",
            ExitCode.OTHER_STATE,
        )
    if any(outcome.startswith(LEFT) for outcome in outcomes.values()):
        raise CommandError(
            "letters were left that nobody takes: make again what they went to, or discard them",
            ExitCode.OTHER_STATE,
        )


@app.command(epilog="Example: resonate dlq discard 3f2a9c41d07b")
def discard(
    ids: LetterIds = None,
    every: All = False,
    dry_run: DryRun = False,
    url: Url = None,
    namespace: Namespace = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Throw dead letters away, for good."""
    wanted = _wanted(ids, every=every)
    settings = client_settings(config, url, namespace)
    chosen = _choose(settings, wanted)
    _expect_all(ids or (), chosen)
    ids_chosen = {letter.id for letter in chosen}
    done = {} if dry_run else _act(settings, ids_chosen, _remove, "discarding")
    outcomes = {letter.id: done.get(letter.id, "would be discarded") for letter in chosen}
    _report(outcomes, as_json=as_json)


def letter_document(letter: DeadLetter) -> Mapping[str, Any]:
    """A letter for programs."""
    fields = {name: getattr(letter, name) for name in letter.__struct_fields__ if name != "kept"}
    headers = {name: text for name, text in letter.kept.items() if _is_json(text)}
    return {**fields, "headers": headers}


def _wanted(ids: Sequence[str] | None, *, every: bool) -> frozenset[str] | None:
    """Which letters are meant; None for all."""
    if every == bool(ids):
        raise CommandError("name letters, or say --all", ExitCode.USAGE)
    return None if every else frozenset(ids or ())


def _choose(settings: Config, wanted: frozenset[str] | None) -> list[DeadLetter]:
    chosen = dict[str, DeadLetter]()

    async def look(found: Found) -> bool:
        if wanted is None or found.letter.id in wanted:
            chosen[found.letter.id] = found.letter
        return wanted is None or len(chosen) < len(wanted)

    _look_through(settings, look)
    return list(chosen.values())


def _act(
    settings: Config, ids: set[str], do: Callable[[Found], Awaitable[str]], title: str
) -> dict[str, str]:
    """Do something with each of these letters, and say what; those that came since stay."""
    left = set(ids)
    outcomes = dict.fromkeys(ids, f"{LEFT} somebody else has taken it")

    async def look(found: Found) -> bool:
        if found.letter.id in left:
            left.remove(found.letter.id)
            outcomes[found.letter.id] = await do(found)
        return bool(left)

    if left:
        _look_through(settings, look, title)
    return outcomes


async def _send_again(found: Found) -> str:
    from resonate_sdk.amqp.letters import UndeliverableError

    # In this order: if we die in between it is there twice, which the server can tell.
    try:
        await found.publish_again()
    except UndeliverableError as error:
        return f"{LEFT} {error}"
    await found.remove()
    return "sent again"


async def _remove(found: Found) -> str:
    await found.remove()
    return "discarded"


def _expect_all(ids: Sequence[str], found: Sequence[DeadLetter]) -> None:
    missing = set(ids) - {letter.id for letter in found}
    if missing:
        raise CommandError(
            f"no dead letter {', '.join(sorted(missing))}: `resonate dlq list` shows what is there",
            ExitCode.NOT_FOUND,
        )


def _settled(settings: Config, letters: Sequence[DeadLetter]) -> dict[str, str]:
    """The states of those promises that are settled."""
    ids = sorted({letter.promise_id for letter in letters if letter.promise_id})

    async def states(client: Client) -> dict[str, str]:
        found = dict[str, str]()
        for id in ids:
            answer = await client.ask(PromiseGet(id=id))
            if isinstance(answer.data, PromiseData) and answer.data.promise.state != "pending":
                found[id] = answer.data.promise.state
            done()
        return found

    with progress("asking for promises", len(ids)) as done:
        return talk(settings, states) if ids else {}


def _look_through(
    settings: Config, look: Callable[[Found], Awaitable[bool]], title: str = "looking"
) -> None:
    """Take letter after letter until `look` says that it has seen enough, and put them back."""
    from resonate_sdk.amqp.session import SessionLostError

    log_nothing()
    try:
        run_impatiently(_pass_through(settings, look, title))
    except SessionLostError as error:
        raise rabbitmq_failure(settings, str(error)) from error


async def _pass_through(
    settings: Config, look: Callable[[Found], Awaitable[bool]], title: str
) -> None:
    from resonate_sdk.amqp.letters import Letter, Letters, open_letters

    names = Names(settings.namespace)

    def found(letters: Letters, taken: Letter) -> Found:
        letter = read(
            taken.body,
            taken.headers,
            names=names,
            queue=taken.routing_key,
            kind=taken.kind,
            message_id=taken.message_id,
            correlation_id=taken.correlation_id,
            user_id=taken.user_id,
        )

        async def publish_again() -> None:
            await letters.publish(
                taken,
                exchange=letter.exchange,
                routing_key=letter.routing_key,
                message_id=letter.message_id,
                headers=letter.headers_again(),
            )

        async def remove() -> None:
            await letters.remove(taken)

        return Found(letter, taken.body, publish_again, remove)

    name = f"resonate-cli/{settings.namespace}"
    async with open_letters(settings.url, names.dead_queue, name=name) as letters:
        with progress(title, min(letters.count, LOOKED_AT_MAX)) as done:
            for _ in range(LOOKED_AT_MAX):
                taken = await letters.take()
                if taken is None or not await look(found(letters, taken)):
                    return
                done()


def _report(outcomes: Mapping[str, str], *, as_json: bool) -> None:
    lines = [f"{id}  {plain(outcome)}" for id, outcome in outcomes.items()] or ["no dead letters"]
    Output(as_json=as_json).show({"letters": outcomes}, lines)


def _row(letter: DeadLetter, now_ms: int) -> tuple[str, ...]:
    first_ms, last_ms = letter.first_died_at_ms, letter.died_at_ms
    return (
        letter.id,
        "" if first_ms in (None, last_ms) else format_duration(now_ms - (first_ms or 0)),
        "" if last_ms is None else format_duration(now_ms - last_ms),
        letter.routing_key,
        letter.user_id or "",
        letter.promise_id or "",
        letter.reason[:SHOWN_CHARS_MAX],
    )


def letter_lines(letter: DeadLetter, body: bytes, now_ms: int) -> list[Text]:
    """A letter for people."""
    fields = [*_fields(letter, body, now_ms)]
    chars = max(len(label) for label, _ in fields)
    return [Text(letter.id), *(field(label, text, chars) for label, text in fields)]


def _fields(letter: DeadLetter, body: bytes, now_ms: int) -> Iterator[tuple[str, str]]:
    yield "reason", letter.reason
    if letter.died_at_ms is not None:
        yield "died", instant_text(letter.died_at_ms, now_ms)
    if letter.first_died_at_ms not in (None, letter.died_at_ms):
        yield "first", instant_text(letter.first_died_at_ms or 0, now_ms)
    yield "from", f"{letter.exchange or 'the default exchange'} {letter.routing_key}"
    for name in ("message_id", "user_id", "promise_id"):
        value = getattr(letter, name)
        if value is not None:
            yield name.replace("_", " "), value
    for name, text in sorted(letter.kept.items()):
        yield name, str(text)
    yield "body", body.decode(errors="replace")


def _is_json(value: Any) -> bool:
    return isinstance(value, str | int | bool | float)
