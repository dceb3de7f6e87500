"""An upload by hand, which can be left in the middle in every way.

As a program: HOST PORT PATH LOCAL BYTES sends so many bytes, says so, and waits to be killed.
"""

import socket
import struct
import sys

WAIT_S = 30


class Raw:
    def __init__(self, host, port, user="user", password="12345"):
        self.data = None
        self.control = socket.create_connection((host, port), WAIT_S)
        self.replies = self.control.makefile("rb")
        self.reply()
        self.ask(f"USER {user}")
        self.ask(f"PASS {password}")
        self.ask("TYPE I")

    def send(self, line):
        self.control.sendall(line.encode() + b"\r\n")

    def reply(self):
        """The last line of the next reply; empty at the end of the connection."""
        line = first = self.replies.readline()
        while first[3:4] == b"-" and line and not (line[:3] == first[:3] and line[3:4] == b" "):
            line = self.replies.readline()
        return line.decode(errors="replace").rstrip()

    def ask(self, line):
        self.send(line)
        return self.reply()

    def begin(self, command):
        """The data connection of `command`; the reply that it begins with."""
        port = int(self.ask("EPSV").split("|")[3])
        self.data = socket.create_connection((self.control.getpeername()[0], port), WAIT_S)
        return self.ask(command)

    def upload(self, path, content, allo=None):
        if allo is not None:
            self.ask(f"ALLO {allo}")
        said = self.begin(f"STOR {path}")
        if not said.startswith("150"):
            raise OSError(said)
        self.data.sendall(content)

    def end_data(self):
        self.data.shutdown(socket.SHUT_WR)
        self.data.close()

    def reset_data(self):
        self.data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.data.close()

    def close_control(self):
        self.replies.close()
        self.control.close()


def main():
    host, port, path, local, count = sys.argv[1:]
    with open(local, "rb") as file:
        content = file.read(int(count))
    raw = Raw(host, int(port))
    raw.upload(path, content)
    print("sent", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
