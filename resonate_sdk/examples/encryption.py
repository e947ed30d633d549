"""Values that the server, its database and the broker cannot read: AES-GCM with rotating keys.

    pip install 'resonate-amqp[crypto]'
    python -m resonate_sdk.examples.encryption [ID]

Arguments, results and errors are encrypted; ids, tags and states are not: keep secrets out of them.
New values are written with the newest key, and each names its key, so old values stay readable for
as long as the old keys are kept.
"""

import os
import sys
from collections.abc import Mapping

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from resonate_sdk import Codec, Context, DecodeError, Resonate
from resonate_sdk.protocol.records import Value

NONCE_BYTES = 12
KEY_HEADER = "key"


class AesGcm:
    """Encrypts with the last of its keys, decrypts with all of them."""

    name = "aes-gcm"

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take keys by their names, the newest one last."""
        self._keys = {name: AESGCM(key) for name, key in keys.items()}
        self._newest = list(self._keys)[-1]

    def encrypt(self, plain: bytes, headers: dict[str, str]) -> bytes:
        """Encrypt; the name of the key is readable, and cannot be exchanged."""
        headers[KEY_HEADER] = self._newest
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._keys[self._newest].encrypt(nonce, plain, self._newest.encode())

    def decrypt(self, cipher: bytes, headers: Mapping[str, str]) -> bytes:
        """Decrypt with the key that the value names."""
        name = headers[KEY_HEADER]
        if name not in self._keys:
            raise LookupError(f"it was written with the key {name!r}, which is not among the keys")
        nonce, text = cipher[:NONCE_BYTES], cipher[NONCE_BYTES:]
        return self._keys[name].decrypt(nonce, text, name.encode())


def last_digits(ctx: Context, card: str) -> str:
    """A step that must not be readable on the way."""
    return card[-4:]


def main(id: str = "secret-1") -> None:
    """Write with one key, rotate it, and read with and without the old one."""
    old, new = {"2025": bytes(range(32))}, {"2026": bytes(reversed(range(32)))}
    with Resonate(group="encryption", encryptor=AesGcm(old)) as resonate:
        resonate.register(last_digits).run(id, "4242 4242 4242 1234")
        stored = resonate.promises.get(id).stored
    print(f"stored: {(stored.value.data or '')[:8]}… with {stored.value.headers}")
    for keys in ({**old, **new}, new):
        print(read(AesGcm(keys), id, stored.value))


def read(encryptor: AesGcm, id: str, value: Value) -> str:
    """What somebody with these keys makes of it."""
    try:
        return f"{id}: {Codec(encryptor).decode(value)}"
    except DecodeError as error:
        return f"{id}: {error}"


if __name__ == "__main__":
    main(*sys.argv[1:])
