"""Certificates of a private server: whoever names them gets a server that also speaks TLS."""

import os
from pathlib import Path

from msgspec import Struct

from resonate_broker.dev.folder import write_whole
from resonate_broker.dev.process import Account

KEY_MODE = 0o600


class Tls(Struct, frozen=True, kw_only=True):
    """What a server shows, and whom it lets in.

    Attributes:
        authority: file with the certificate of who has signed those of clients; each client must
            show one.
        certificate: file with the certificate of the server.
        key: file with the key that belongs to it.
    """

    authority: Path
    certificate: Path
    key: Path

    def copied_to(self, folder: Path, account: Account | None) -> "Tls":
        """Copy the files to where the server may read them, and nobody else reads the key."""
        copies = {
            "authority": folder / "authority.pem",
            "certificate": folder / "certificate.pem",
            "key": folder / "key.pem",
        }
        for name, path in copies.items():
            source: Path = getattr(self, name)
            write_whole(path, source.read_text(), mode=KEY_MODE)
            if account is not None:
                os.chown(path, account.uid, account.gid)
        return Tls(**copies)
