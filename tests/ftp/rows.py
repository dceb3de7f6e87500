"""The operations of the matrix: what each has a client do, and what must be there afterwards, on both sides."""

import fcntl
import filecmp
import os
import pty
import random
import select
import termios
import time

from ftp.clients import EVERY_ODD_NAME, Cannot
from ftp.raw import Raw
from ftp.relay import Relay
from ftp.server import Failed, holds, read, same, same_tree, told

MIDDLE_BYTES = 3_000_017
BIG_BYTES = 1 << 30
KILL_AFTER_BYTES = 64 << 20
MTIME = 1_234_567_890
STEP_LIMIT_S = 30
RETYPE_S = 1
LARGE_LIMIT_S = 600


def content(size, seed=1):
    return random.Random(seed).randbytes(size)


def until(is_so, what):
    """Looks again and again, as there is nobody to tell."""
    end = time.monotonic() + STEP_LIMIT_S
    while not is_so():
        if time.monotonic() > end:
            raise Failed(f"not in {STEP_LIMIT_S} s: {what}")
        time.sleep(0.001)


def login_anonymous(place, client):
    place.user, place.password = "anonymous", "someone@example.org"
    login_account(place, client)


def login_account(place, client):
    place.put_on_server("proof", b"proof")
    try:
        holds(client.verb(place, "login"), "/")
    except Cannot:
        pass
    client.verb(place, "get", place.path("proof"), "proof")
    same(place.here("proof"), b"proof")


def plant_listing(place):
    place.put_on_server("file-of-4321", content(4321))
    place.put_on_server("empty-file", b"")
    os.makedirs(place.on_server("sub-folder"))


def list_unix(place, client):
    plant_listing(place)
    said = client.verb(place, "list", place.top)
    for part in ("file-of-4321", "4321", "empty-file", "sub-folder"):
        holds(said, part)


def list_facts(place, client):
    plant_listing(place)
    said = client.verb(place, "mlsd", place.top)
    for part in ("file-of-4321", "empty-file", "sub-folder"):
        holds(said, part)


def change_folder(place, client):
    os.makedirs(place.on_server("in/side"))
    holds(client.verb(place, "cd", place.path("in/side")), place.path("in/side"))


def odd_names(place, client):
    place.put_here("source", content(70_001))
    tried = 0
    for what, name in EVERY_ODD_NAME.items():
        if what in client.odd_names_not_taken:
            continue
        folder = os.fsencode(place.top) + b"/" + name
        on_disk = os.path.join(os.fsencode(place.remote), name)
        back = f"back-{tried}"
        try:
            if not can(client, "mkdir", place, folder):
                os.mkdir(on_disk)
            if not os.path.isdir(on_disk):
                raise Failed("mkdir made no folder")
            if not can(client, "put", place, "source", folder + b"/" + name):
                with open(os.path.join(on_disk, name), "wb") as file:
                    file.write(content(70_001))
            same(os.path.join(on_disk, name), content(70_001))
            client.verb(place, "get", folder + b"/" + name, back)
            same(place.here(back), content(70_001))
            if can(client, "delete", place, folder + b"/" + name) and os.path.exists(os.path.join(on_disk, name)):
                raise Failed("delete left the file")
        except Failed as failed:
            raise Failed(f"{what}: {failed}") from None
        tried += 1


def can(client, verb, place, *arguments):
    try:
        client.verb(place, verb, *arguments)
        return True
    except Cannot:
        return False


SIZES = (0, 1, 65_536, MIDDLE_BYTES)


def download(place, client):
    for size in SIZES:
        place.put_on_server(f"f{size}", content(size))
        client.verb(place, "get", place.path(f"f{size}"), f"f{size}")
        same(place.here(f"f{size}"), content(size))


def upload(place, client):
    for size in SIZES:
        place.put_here(f"f{size}", content(size))
        client.verb(place, "put", f"f{size}", place.path(f"f{size}"))
        same(place.on_server(f"f{size}"), content(size))


KEEP_MTIME = {"lftp", "rclone", "ncftp"}


def upload_mtime(place, client):
    if client.name not in KEEP_MTIME | {"commons-net"}:
        raise Cannot("-")
    place.put_here("dated", content(1000))
    os.utime(place.here("dated"), (MTIME, MTIME))
    client.verb(place, "put", "dated", place.path("dated"))
    if client.name == "commons-net":
        client.verb(place, "mtime", place.path("dated"), time.strftime("%Y%m%d%H%M%S", time.gmtime(MTIME)))
    found = int(os.stat(place.on_server("dated")).st_mtime)
    if found != MTIME:
        raise Failed(f"modified at {found} in place of {MTIME}")


def overwrite(place, client):
    place.put_on_server("file", b"old" * 1000)
    place.put_here("new", content(MIDDLE_BYTES))
    client.verb(place, "put", "new", place.path("file"))
    same(place.on_server("file"), content(MIDDLE_BYTES))


def resume_down(place, client):
    place.put_on_server("file", content(MIDDLE_BYTES))
    place.put_here("half", content(MIDDLE_BYTES)[:1_000_003])
    client.verb(place, "get-from", 1_000_003, place.path("file"), "half")
    same(place.here("half"), content(MIDDLE_BYTES))


def resume_up(place, client):
    """Onto all that came of an upload that broke off, and onto nothing, which is refused."""
    place.put_here("file", content(MIDDLE_BYTES))
    raw = Raw(place.host, place.port)
    raw.upload(place.path("file"), content(MIDDLE_BYTES)[:2_000_000], allo=MIDDLE_BYTES)
    until(lambda: 2_000_000 in sizes(place.server.folder), "all that was sent is in a file of the server")
    raw.end_data()
    if not (said := raw.reply()).startswith("426"):
        raise Failed(f"{said!r} to an upload that broke off")
    raw.close_control()
    same(place.on_server("file"), None, "what the broken upload left")
    if client.name == "lftp":
        client.verb(place, "put-again", "file", place.path("file"))
    else:
        client.verb(place, "put-from", 2_000_000, "file", place.path("file"))
        client.verb(place, "put-from", 2_000_000, "file", place.path("nothing"), fails=True)
        same(place.on_server("nothing"), None, "what was to be resumed onto nothing")
    same(place.on_server("file"), content(MIDDLE_BYTES))


def sizes(folder):
    """Of all files below, with those that come and go meanwhile."""
    paths = [os.path.join(within, name) for within, _, names in os.walk(folder) for name in names]
    return [read_size(path) for path in paths]


def broken_upload(place, client):
    """The first data connection is reset in the middle. Whatever the client does then: old or whole new; and again."""
    if not client.can_put:
        raise Cannot("-")
    old, new = content(1000, 1), content(8_000_003, 2)
    place.put_on_server("file", old)
    place.put_here("new", new)
    port = place.port
    with Relay(port, MIDDLE_BYTES, "reset") as relay:
        place.port = relay.port
        try:
            client.verb(place, "put", "new", place.path("file"))
            has_failed = client.tells_nothing
        except Failed as failed:
            if "not done after" in str(failed):
                raise
            has_failed = True
        if not relay.has_come.is_set():
            raise Failed("nothing broke off")
    found = read(place.on_server("file"))
    # rclone 1.60 deletes what it thinks is the fragment.
    if found != new and not (has_failed and (found == old or (found is None and client.name == "rclone"))):
        raise Failed(f"{told(found)} is there, and the client {'failed' if has_failed else 'is done'}")
    place.port = port
    client.verb(place, "put", "new", place.path("file"))
    same(place.on_server("file"), new, "what was sent once more")


def append(place, client):
    place.put_on_server("file", content(100_001))
    place.put_here("more", content(200_003, 2))
    client.verb(place, "append", "more", place.path("file"))
    same(place.on_server("file"), content(100_001) + content(200_003, 2))
    place.put_here("first", content(50_000, 3))
    client.verb(place, "append", "first", place.path("fresh"))
    same(place.on_server("fresh"), content(50_000, 3), "what was appended to nothing")


def rename(place, client):
    place.put_on_server("one", b"one")
    client.verb(place, "rename", place.path("one"), place.path("two"))
    if read(place.on_server("one")) is not None:
        raise Failed("the old name is still there")
    same(place.on_server("two"), b"one")


def rename_over(place, client):
    place.put_on_server("one", b"one")
    place.put_on_server("two", b"another")
    client.verb(place, "rename", place.path("one"), place.path("two"))
    if read(place.on_server("one")) is not None:
        raise Failed("the old name is still there")
    same(place.on_server("two"), b"one")


def delete_and_folders(place, client):
    place.put_on_server("file", b"file")
    client.verb(place, "delete", place.path("file"))
    if os.path.exists(place.on_server("file")):
        raise Failed("the file is still there")
    client.verb(place, "mkdir", place.path("made"))
    if not os.path.isdir(place.on_server("made")):
        raise Failed("no folder was made")
    client.verb(place, "rmdir", place.path("made"))
    if os.path.exists(place.on_server("made")):
        raise Failed("the folder is still there")


def plant_tree(folder, files=60, is_flat=False):
    for number in range(files):
        within = folder if is_flat else os.path.join(folder, f"d{number % 7}", f"e{number % 3}")
        os.makedirs(within, exist_ok=True)
        with open(os.path.join(within, f"f{number:05}"), "wb") as file:
            file.write(content(1 + number * 37 % 5000, number))


def mirror(place, client, files=60, is_flat=False):
    is_flat = is_flat or client.name == "curl"
    plant_tree(place.here("tree"), files, is_flat)
    os.makedirs(place.on_server("up/tree"))
    if can(client, "put-tree", place, "tree", place.path("up/tree")):
        same_tree(place.here("tree"), place.on_server("up/tree"))
    else:
        plant_tree(place.on_server("up/tree"), files, is_flat)
    if client.name == "ncftp":
        os.rename(place.here("tree"), place.here("sent"))
        client.verb(place, "get-tree", place.path("up/tree"), "tree")
        same_tree(place.here("sent"), place.here("tree"))
        return
    client.verb(place, "get-tree", place.path("up/tree"), "back")
    same_tree(place.here("tree"), place.here("back"))


def many(place, client, files):
    before = place.server.open_files()
    mirror(place, client, files)
    until(lambda: place.server.open_files() <= before, f"as many open files on the server as before, {before}")


def active(place, client):
    place.is_active = True
    download(place, client)
    can(client, "list", place, place.top)
    if client.can_put:
        upload(place, client)


def ipv6(place, client):
    place.host = "::1"
    download(place, client)
    can(client, "list", place, place.top)
    if client.can_put:
        upload(place, client)


def killed_in_upload(place, client):
    """With a file there before: it stays. With none: none appears."""
    if not client.can_put:
        raise Cannot("-")
    before = place.server.open_files()
    with open(place.here("big"), "wb") as file:
        file.truncate(BIG_BYTES)
    for name, old in (("old", content(1000)), ("none", None)):
        if old is not None:
            place.put_on_server(name, old)
        process = client.begin_put(place, "big", place.path(name))
        try:
            until(lambda: has_read(process.pid) > KILL_AFTER_BYTES or process.poll() is not None, "it sends")
            if process.poll() is not None:
                raise Failed(f"done before it could be killed:\n{process.stdout.read()[-1000:]!r}")
        finally:
            process.kill()
            process.communicate()
        until(lambda: place.server.open_files() <= before, f"as many open files on the server as before, {before}")
        same(place.on_server(name), old, "the file of before")


def has_read(pid):
    try:
        with open(f"/proc/{pid}/io") as file:
            return int(file.readline().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


TYPED = {"lftp", "tnftp", "inetutils", "ncftp"}


def abort(place, client):
    """In the middle of a download; then a small file comes over the same session, or what is typed into fetches it."""
    with open(place.on_server("big"), "wb") as file:
        file.truncate(BIG_BYTES)
    place.put_on_server("small", content(10_000))
    if client.name in TYPED:
        interrupt(place, client)
    else:
        client.verb(place, "abort", place.path("big"), place.path("small"), "small")
    same(place.here("small"), content(10_000))


def interrupt(place, client):
    """Types Ctrl-C in the middle of a download that all but stands still, and then for the small file until it is there."""
    with Relay(place.port, MIDDLE_BYTES) as relay:
        place.port = relay.port
        command, typed = client.interactive(place)
        master, slave = pty.openpty()
        process = place.begin(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                              preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0))
        os.close(slave)
        said = bytearray()
        try:
            os.write(master, typed + client.typed_get(place.path("big"), "big"))
            drain_until(master, said, relay.has_come.is_set)
            os.write(master, b"\x03")

            def has_come():
                os.write(master, client.typed_get(place.path("small"), "small"))
                drain_for(master, said, RETYPE_S)
                return read_size(place.here("small")) == 10_000

            until(has_come, "the small file comes after Ctrl-C")
        except Failed as failed:
            raise Failed(f"{failed}; it said {bytes(said[-1500:])!r}") from None
        finally:
            process.kill()
            process.wait()
            os.close(master)


def read_size(path):
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return None


def drain_until(master, said, is_so):
    def step():
        drain_for(master, said, 0.01)
        return is_so()

    until(step, "it goes on")


def drain_for(master, said, seconds):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            try:
                said += os.read(master, 65536)
            except OSError:
                return



LARGE_BYTES = (1 << 32) + 13
# Where a count of 31 or 32 bits ends.
MARKED = (0, (1 << 31) - 5, (1 << 32) - 5)


def plant_large(path):
    with open(path, "wb") as file:
        file.truncate(LARGE_BYTES)
        for offset in MARKED:
            file.seek(offset)
            file.write(b"marked %d" % offset)


def large(place, client):
    plant_large(place.on_server("large"))
    client.verb(place, "get", place.path("large"), "large", limit_s=LARGE_LIMIT_S)
    same_large(place.here("large"), place.on_server("large"))
    if client.can_put:
        client.verb(place, "put", "large", place.path("sent"), limit_s=LARGE_LIMIT_S)
        same_large(place.here("large"), place.on_server("sent"))


def same_large(one, other):
    if not filecmp.cmp(one, other, shallow=False):
        raise Failed(f"{one} ({read_size(one)} bytes) is not {other} ({read_size(other)} bytes)")


# They look at the server's open files, or at all of its folder.
killed_in_upload.wants_own_server = resume_up.wants_own_server = True

ROWS = {
    "login anonymous": login_anonymous,
    "login account": login_account,
    "list": list_unix,
    "list facts": list_facts,
    "change folder": change_folder,
    "odd names": odd_names,
    "download": download,
    "upload": upload,
    "upload mtime": upload_mtime,
    "overwrite": overwrite,
    "resume down": resume_down,
    "resume up": resume_up,
    "append": append,
    "rename": rename,
    "rename over": rename_over,
    "delete, folders": delete_and_folders,
    "mirror": mirror,
    "abort": abort,
    "broken upload": broken_upload,
    "killed in upload": killed_in_upload,
    "active mode": active,
    "IPv6": ipv6,
}
