"""A WebSocket spoken by hand, so that it can be spoken wrongly."""

import base64
import json
import os
import socket
import struct
import time

PATIENCE = 15.0
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Raw:
    def __init__(self, hub, receive_buffer=None):
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", hub.port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{hub.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: tasklight.v1\r\n\r\n".encode()
        )
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101"), head

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _more(self):
        data = self.socket.recv(65_536)
        if not data:
            raise EOFError
        return data

    def _take(self, count):
        while len(self.buffer) < count:
            self.buffer += self._more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def frame(self, payload, opcode=TEXT, first=0x80, masked=True, length=None):
        """Sends one frame; `first` holds FIN and the reserved bits, `length` may lie."""
        size = len(payload) if length is None else length
        head = bytes([first | opcode])
        mask_bit = 0x80 if masked else 0
        if size < 126:
            head += bytes([mask_bit | size])
        elif size < 65_536:
            head += bytes([mask_bit | 126]) + struct.pack("!H", size)
        else:
            head += bytes([mask_bit | 127]) + struct.pack("!Q", size)
        # A mask of zeros is a mask like any other.
        self.socket.sendall(head + (b"\0\0\0\0" if masked else b"") + payload)

    def send(self, **message):
        self.frame(json.dumps(message).encode())

    def read(self):
        """The next frame as opcode and payload."""
        head = self._take(2)
        assert not head[1] & 0x80, "a server does not mask"
        size = head[1] & 0x7F
        if size == 126:
            [size] = struct.unpack("!H", self._take(2))
        elif size == 127:
            [size] = struct.unpack("!Q", self._take(8))
        return head[0] & 0x0F, self._take(size)

    def closed(self, seconds=PATIENCE, answer_pings=False):
        """The close code; None if the connection ended without one."""
        end = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                opcode, payload = self.read()
            except TimeoutError:
                raise AssertionError("the hub did not close") from None
            except (EOFError, ConnectionResetError):
                return None
            if opcode == PING and answer_pings:
                self.frame(payload, PONG)
            if opcode == CLOSE:
                return struct.unpack("!H", payload[:2])[0]
