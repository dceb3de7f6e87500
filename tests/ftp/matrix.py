"""All clients, and the parts that have them do everything."""

import os
from functools import partial

from ftp.clients import Busybox, Curl, Driver, Lftp, Rclone, Wget
from ftp.install import COMMONS_NET_JAR, DRIVERS
from ftp.rows import ROWS, large, many
from ftp.server import Server, scratch_folder
from ftp.table import Table
from ftp.typed_clients import Inetutils, Ncftp, Tnftp

NO_TREES = ("put-tree", "get-tree")
MANY_FILES = 10_000
TEXT_ONLY = {"not UTF-8": "takes names for text"}


def drivers(installed):
    def beside(name):
        return os.path.join(DRIVERS, name)

    java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{installed.classes}:{COMMONS_NET_JAR}"]
    return [
        Driver("ftplib", "ftplib", [installed.python, beside("ftplib_client.py")]),
        Driver("aioftp", "aioftp", [installed.python, beside("aioftp_client.py")], ["active"]),
        Driver("basic-ftp", "basic-ftp", ["node", beside("basic_ftp_client.js")], ["active", "put-from", "abort"],
               {"NODE_PATH": installed.node_modules}, TEXT_ONLY),
        Driver("perl", "perl", ["perl", beside("net_ftp.pl")], ["mlsd", "put-from", *NO_TREES]),
        Driver("php", "php", ["php", beside("php_client.php")], ["abort", *NO_TREES]),
        Driver("ruby", "ruby", ["ruby", beside("net_ftp.rb")], ["put-from", *NO_TREES], None, TEXT_ONLY),
        Driver("commons-net", "commons-net", [*java, "CommonsNet"], NO_TREES, None, TEXT_ONLY),
        Driver("suppaftp", "suppaftp", [installed.suppaftp], NO_TREES, None, TEXT_ONLY),
    ]


def clients(installed):
    return [Lftp(), Curl(), Rclone(), Ncftp(), Tnftp(), Inetutils(), Wget(), Busybox(), *drivers(installed)]


def serving(program, scratch, installed):
    """Starts servers, each over a folder of its own."""
    def serve(name):
        folder = os.path.join(scratch, "served", name)
        os.makedirs(folder)
        return Server(program, folder, installed.python)

    return serve


def run_table(title, columns, rows, options, installed, **more):
    with scratch_folder() as scratch:
        os.makedirs(os.path.join(scratch, "served"))
        table = Table(title, columns, installed.missing, serving(options.server, scratch, installed), scratch, **more)
        return table.run(rows, options.only)


def run(options, installed):
    return run_table("matrix", clients(installed), ROWS, options, installed)


def run_many(options, installed):
    check = partial(many, files=MANY_FILES)
    check.wants_own_server = True
    return run_table("many", clients(installed), {"many": check}, options, installed)


def run_large(options, installed):
    return run_table("large", clients(installed), {"large": large}, options, installed, workers=1)
