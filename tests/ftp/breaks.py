"""Seven ways to break an upload off over an old file, and every client that resumes after each.

In all of them the old file stays, but for the one that nobody can tell from a whole upload: the data ends, the session
lives, and no length was declared. After each, a client sends the file in its own way: the name holds old or whole new
content, never a mix, and whole new content if the client says that it is done.
"""

import os
import sys

from ftp.clients import Curl, Driver, Lftp, Rclone
from ftp.install import DRIVERS, HERE
from ftp.matrix import run_table
from ftp.raw import Raw
from ftp.rows import content, until
from ftp.server import Failed, read, same, told
from ftp.typed_clients import Ncftp

OLD, NEW = content(1000, 1), content(8_000_003, 2)
SENT_BYTES = 3_000_000


def started(place, **more):
    raw = Raw(place.host, place.port)
    raw.upload(place.path("file"), NEW[:SENT_BYTES], **more)
    return raw


def expect(raw, *codes):
    """The replies that come, in order, and that the session goes on after them."""
    for code in codes:
        said = raw.reply()
        if not said.startswith(code):
            raise Failed(f"{said!r} in place of {code}")
    said = raw.ask("NOOP")
    if not said.startswith("200"):
        raise Failed(f"{said!r} to a NOOP afterwards")
    raw.close_control()


def client_killed(place):
    program = [sys.executable, os.path.join(HERE, "raw.py")]
    process = place.begin([*program, place.host, str(place.port), place.path("file"), "file", str(SENT_BYTES)])
    try:
        if process.stdout.readline() != b"sent\n":
            raise Failed("the client that is to be killed sends nothing")
    finally:
        process.kill()
        process.communicate()


def control_closed(place):
    raw = started(place)
    raw.close_control()
    raw.end_data()


def data_reset(place):
    raw = started(place)
    raw.reset_data()
    expect(raw, "426")


def data_ended(place):
    raw = started(place)
    raw.end_data()
    expect(raw, "226")


def aborted(place):
    raw = started(place)
    raw.send("ABOR")
    raw.end_data()
    expect(raw, "426", "226")


def ended_and_aborted(place):
    """ABOR goes out before the end of the data has been answered, and counts."""
    raw = started(place)
    raw.end_data()
    raw.send("ABOR")
    expect(raw, "426", "226")


def ended_before_declared(place):
    raw = started(place, allo=len(NEW))
    raw.end_data()
    expect(raw, "426")


class Again:
    """A client, and how it sends a file once more."""

    def __init__(self, name, client, verb, *before):
        self.name, self.client, self.verb, self.before, self.needs = name, client, verb, before, client.needs

    def send(self, place):
        try:
            self.client.verb(place, self.verb, *self.before, "file", place.path("file"))
        except Failed as failed:
            if "not done after" in str(failed):
                raise
            return False
        return True


def after(way, may_be):
    """Breaks off, looks, sends again, looks, and sends the whole."""
    def check(place, again):
        before = place.server.open_files()
        place.put_on_server("file", OLD)
        place.put_here("file", NEW)
        way(place)
        until(lambda: place.server.open_files() <= before, f"as many open files on the server as before, {before}")
        same(place.on_server("file"), may_be, "what the broken upload left")
        is_done = again.send(place)
        found = read(place.on_server("file"))
        if found not in (may_be, NEW) or (is_done and found != NEW):
            raise Failed(f"{told(found)} is there, and the client is {'done' if is_done else 'not done'}")
        Curl().put(place, "file", place.path("file"))
        same(place.on_server("file"), NEW, "what was sent whole at last")

    check.wants_own_server = True
    return check


ROWS = {
    "client killed": after(client_killed, OLD),
    "control closed, data ended": after(control_closed, OLD),
    "data reset": after(data_reset, OLD),
    "data ended": after(data_ended, NEW[:SENT_BYTES]),
    "ABOR, data ended": after(aborted, OLD),
    "data ended, ABOR": after(ended_and_aborted, OLD),
    "data ended before ALLO": after(ended_before_declared, OLD),
}


def columns(installed):
    ftplib = Driver("ftplib", "ftplib", [installed.python, os.path.join(DRIVERS, "ftplib_client.py")])
    return [
        Again("lftp", Lftp(), "put"), Again("put -c", Lftp(), "put-again"), Again("mirror -R -c", Lftp(), "mirror-again"),
        Again("curl -C -", Curl(), "put-again"), Again("curl --retry", Curl(), "put-retrying"),
        Again("ncftpput -z", Ncftp(), "put-again"), Again("rclone", Rclone(), "put"),
        Again("REST old", ftplib, "put-from", len(OLD)), Again("REST part", ftplib, "put-from", SENT_BYTES // 2),
    ]


def run(options, installed):
    return run_table("breaks", columns(installed), ROWS, options, installed)
