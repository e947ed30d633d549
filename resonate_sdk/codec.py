"""How values are stored, under the names that programs import."""

from resonate_sdk.encoding.codec import Codec, Encryptor
from resonate_sdk.encoding.encoder import Encoder

__all__ = ["Codec", "Encoder", "Encryptor"]
