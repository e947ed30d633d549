"""What is stored of an execution, to be kept in a file."""

from pathlib import Path
from typing import Literal, Self

import msgspec
from msgspec import Struct

from resonate_sdk.client.resonate import Resonate
from resonate_sdk.errors import UsageError
from resonate_sdk.protocol import tags
from resonate_sdk.protocol.records import PromiseRecord

FORMAT: Literal["resonate.history.v1"] = "resonate.history.v1"


class History(Struct, frozen=True, kw_only=True):
    """The promise of an execution, and those of everything it has called.

    Attributes:
        root: the promise of the execution.
        promises: the others.
    """

    root: PromiseRecord
    promises: tuple[PromiseRecord, ...]
    format: Literal["resonate.history.v1"] = FORMAT

    def save(self, path: Path | str) -> None:
        """Write it to a file: JSON, which holds arguments and results of all calls."""
        Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read it from a file.

        Raises:
            UsageError: the file is not a history.
        """
        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=cls)
        except (msgspec.DecodeError, TypeError) as error:
            raise UsageError(
                f"{path} is no history, as history(client, id).save(path) writes it: {error}"
            ) from None


def history(client: Resonate, id: str) -> History:
    """Fetch the history of an execution.

    Args:
        client: of the server that has it.
        id: of the execution.

    Raises:
        NotFoundError: there is none.
    """
    root = client.promises.get(id).stored
    found: dict[str, PromiseRecord] = {}
    for key in (tags.ORIGIN, tags.PARENT):  # children whose ids were chosen have another origin
        for record in client.promises.search(tags={key: id}):
            found[record.id] = record.stored
    found.pop(id, None)
    return History(root=root, promises=tuple(found[id] for id in sorted(found)))
