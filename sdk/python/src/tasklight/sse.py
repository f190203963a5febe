"""Server-Sent Events (WHATWG HTML section 9.2) out of bytes, however they are cut."""

from .errors import InvalidAnswer

#: The most bytes of one event; an activity has at most 64 KiB unless the hub was told otherwise.
EVENT_BYTES = 32 << 20


class Events:
    """Takes bytes and gives the data of each event that they complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole now. Names and ids are not needed: the data says what it is."""
        found: list[bytes] = []
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            line = line[:-1] if line.endswith(b"\r") else line
            if not line:
                if self._data:
                    found.append(b"\n".join(self._data))
                self._data, self._bytes = [], 0
            elif line.startswith(b"data:"):
                value = line[5:]
                self._data.append(value[1:] if value.startswith(b" ") else value)
                self._bytes += len(line)
        if EVENT_BYTES < self._bytes + len(self._rest):
            raise InvalidAnswer(f"an event of the stream is longer than {EVENT_BYTES} bytes")
        return found
