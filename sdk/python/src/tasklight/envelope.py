"""Signed envelopes around what is published over Redis, where hubs ask for them (docs/protocol.md, "Signed envelopes")."""

import hashlib
import hmac
import json
import re
import time
from pathlib import Path
from typing import Optional, Union

from .errors import SetupError

#: The most bytes that are read of a file with a key.
_KEY_BYTES = 4096

_KEY = re.compile(r"tle_([A-Za-z0-9]{1,32})_([A-Za-z0-9]{32,128})", re.ASCII)

#: What the signed bytes begin with.
_FORM = "tasklight-envelope-1"


class EnvelopeKey:
    """A secret that an agent shares with the hubs, and its public name: ``tle_ID_SECRET``."""

    def __init__(self, text: str) -> None:
        found = _KEY.fullmatch(text)
        if found is None:
            words = "a key is tle_ID_SECRET, with 1 to 32 letters and digits for the id and 32 to 128 for the secret"
            raise SetupError(f"envelope key: {words}")
        self.id, self._secret = found[1], found[2].encode()

    @classmethod
    def read(cls, path: Union[str, Path]) -> "EnvelopeKey":
        """The key in a file, with blanks around it or without."""
        try:
            with Path(path).open("rb") as file:
                text = file.read(_KEY_BYTES)
        except OSError as error:
            raise SetupError(f"envelope key: {path} cannot be read: {error.strerror}") from None
        return cls(text.decode("utf-8", "replace").strip())

    def __repr__(self) -> str:
        return f"EnvelopeKey({self.id!r})"

    def seal(self, channel: str, body: str, at: Optional[int] = None) -> bytes:
        """The envelope around ``body``, to be published on ``channel``; of now, unless a time is given in epoch milliseconds."""
        at = int(time.time() * 1000) if at is None else at
        signed = "\n".join([_FORM, channel, self.id, str(at), body])
        mac = hmac.new(self._secret, signed.encode(), hashlib.sha256).hexdigest()
        return json.dumps({"signed": {"key": self.id, "at": at, "body": body, "mac": mac}}).encode()
