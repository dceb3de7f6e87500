"""Between a client and the server, for what must happen in the middle of a transfer: slows or breaks a data connection.

The control connection passes unchanged but for the ports of 227 and 229, so that data comes through here too. The first
data connection on which more than LIMIT bytes come is broken off there, or all but stands still from there on; all later
ones pass.
"""

import re
import selectors
import socket
import struct
import threading

from ftp.server import LOOPBACK

PASV = re.compile(rb"^227 [^\r\n]*\(\d+,\d+,\d+,\d+,(\d+),(\d+)\)[^\r\n]*", re.M)
EPSV = re.compile(rb"^229 [^\r\n]*\(\|\|\|(\d+)\|\)[^\r\n]*", re.M)
CHUNK_BYTES = 65536
WAIT_S = 60
# 64 KiB each.
SLOW_STEP_S = 0.03


class Relay:
    """`do` is `slow` or `reset`. `has_come` is set once it is done."""

    def __init__(self, port, limit, do="slow"):
        self.server_port, self.limit, self.do = port, limit, do
        self.has_come, self.is_over = threading.Event(), threading.Event()
        self.lock, self.has_struck = threading.Lock(), False
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        self.start(self.accept)

    def start(self, work, *arguments):
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.listener.close()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            self.start(self.control, client)

    def control(self, client):
        server = socket.create_connection((LOOPBACK, self.server_port))
        self.start(self.copy, client, server)
        waiting = b""
        try:
            while data := server.recv(CHUNK_BYTES):
                waiting += data
                lines, newline, waiting = waiting.rpartition(b"\n")
                client.sendall(self.rewritten(lines + newline))
        except OSError:
            pass
        self.shut(client)

    def rewritten(self, text):
        def pasv(match):
            high, low = map(int, match.groups())
            port = self.data_listener(high * 256 + low)
            return b"227 Entering Passive Mode (127,0,0,1,%d,%d)." % divmod(port, 256)

        def epsv(match):
            return b"229 Entering Extended Passive Mode (|||%d|)." % self.data_listener(int(match.group(1)))

        return EPSV.sub(epsv, PASV.sub(pasv, text))

    def data_listener(self, to):
        listener = socket.create_server((LOOPBACK, 0))
        listener.settimeout(WAIT_S)
        self.start(self.data, listener, to)
        return listener.getsockname()[1]

    def data(self, listener, to):
        try:
            with listener:
                client = listener.accept()[0]
            server = socket.create_connection((LOOPBACK, to))
        except OSError:
            return
        client.settimeout(None)
        passed, is_slow, ends = 0, False, {client: server, server: client}
        with selectors.DefaultSelector() as selector:
            for end in ends:
                selector.register(end, selectors.EVENT_READ)
            while ends:
                for key, _ in selector.select():
                    data = self.received(key.fileobj)
                    passed += len(data)
                    if passed > self.limit and self.may_strike():
                        if self.do == "reset":
                            self.reset(server, client)
                            return
                        is_slow = True
                        self.has_come.set()
                    if is_slow:
                        self.is_over.wait(SLOW_STEP_S)
                    if data:
                        self.send(ends[key.fileobj], data)
                    else:
                        selector.unregister(key.fileobj)
                        self.shut(ends.pop(key.fileobj))
        client.close()
        server.close()

    def received(self, end):
        try:
            return end.recv(CHUNK_BYTES)
        except OSError:
            return b""

    def send(self, end, data):
        try:
            end.sendall(data)
        except OSError:
            pass

    def may_strike(self):
        with self.lock:
            is_first, self.has_struck = not self.has_struck, True
        return is_first

    def reset(self, *ends):
        """Closes with RST. It is told before, as a client may be done at once."""
        self.has_come.set()
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()

    def copy(self, source, sink):
        try:
            while data := source.recv(CHUNK_BYTES):
                sink.sendall(data)
        except OSError:
            pass
        self.shut(sink)

    def shut(self, end):
        try:
            end.shutdown(socket.SHUT_WR)
        except OSError:
            pass
