"""The client, under the name that published examples import it by."""

from resonate_sdk.client.resonate import Resonate

__all__ = ["Resonate"]
