"""What takes minutes, or is to be read by a person: nmap, rclone's own tests, ftpbench."""

import os
import subprocess

from ftp.clients import EVERY_ODD_NAME, Rclone
from ftp.matrix import serving
from ftp.rows import content, plant_tree
from ftp.server import LOOPBACK, PASSWORD, USER, Failed, Place, same_tree, scratch_folder, write

BENCH_CLIENTS, BENCH_BYTES = 100, "10M"
LIMIT_S = 600


def show(output):
    print(output.decode(errors="replace"))


def with_place(options, installed, work):
    with scratch_folder() as scratch:
        with serving(options.server, scratch, installed)("all") as server:
            return work(Place(server, "here", scratch))


def scan(options, installed):
    """Whether nmap sees nothing that a stranger could bounce off."""
    def work(place):
        scripts = ["--script", "+ftp-anon,+ftp-syst,+ftp-bounce"]
        said = place.run(["nmap", "-Pn", "-p", str(place.port), *scripts, LOOPBACK], limit_s=LIMIT_S)
        show(said)
        return b"bounce working" not in said and b"ftp-anon: Anonymous FTP login allowed" in said

    return with_place(options, installed, work)


def awkward_tree(folder):
    plant_tree(folder)
    for what, name in EVERY_ODD_NAME.items():
        # rclone sends other characters for what is not UTF-8 and at ends.
        if what not in ("not UTF-8", "trailing space"):
            os.makedirs(os.path.join(os.fsencode(folder), b"odd", name))
            write(os.path.join(os.fsencode(folder), b"odd", name, name), content(1000))
    os.makedirs(os.path.join(folder, "empty"))


def rclone(options, installed):
    """What rclone finds out about the server, and `rclone check` over a synced tree."""
    def work(place):
        client = Rclone()
        os.makedirs(place.on_server("info"))
        show(client.do(place, "test", "info", "--all", client.there(place.path("info")), limit_s=LIMIT_S))
        awkward_tree(place.here("tree"))
        client.verb(place, "put-tree", "tree", place.path("tree"))
        show(client.do(place, "check", "--download", place.here("tree"), client.there(place.path("tree"))))
        same_tree(place.here("tree"), place.on_server("tree"))
        return True

    try:
        return with_place(options, installed, work)
    except Failed as failed:
        print(f"FAIL rclone: {failed}")
        return False


def bench(options, installed):
    def work(place):
        command = [installed.ftpbench, "-u", USER, "-p", PASSWORD, "-H", LOOPBACK, "-P", str(place.port), "-b", "all",
                   "-n", str(BENCH_CLIENTS), "-s", BENCH_BYTES]
        return subprocess.run(command, cwd=place.local, check=False).returncode == 0

    return with_place(options, installed, work)
