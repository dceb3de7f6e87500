"""What a check tells Python's ftplib to do: HOST PORT USER PASSWORD MODE VERB ARGUMENT..."""

import ftplib
import os
import sys

host, port, user, password, mode, verb, *arguments = sys.argv[1:]


def name(argument):
    """As bytes go over the wire."""
    return os.fsencode(argument).decode("latin-1")


def get(ftp, remote, local, offset=None):
    with open(local, "ab" if offset else "wb") as file:
        ftp.retrbinary("RETR " + name(remote), file.write, rest=offset)


def put(ftp, local, remote, offset=None):
    with open(local, "rb") as file:
        file.seek(offset or 0)
        ftp.storbinary("STOR " + name(remote), file, rest=offset)


def append(ftp, local, remote):
    with open(local, "rb") as file:
        ftp.storbinary("APPE " + name(remote), file)


def abort(ftp, big, small, local):
    ftp.voidcmd("TYPE I")
    data = ftp.transfercmd("RETR " + name(big))
    data.recv(1000)
    print(ftp.abort())
    data.close()
    # Behind the 426 that abort took for its answer there is the answer to ABOR.
    ftp.sock.settimeout(5)
    print(ftp.getmultiline())
    get(ftp, small, local)


def put_tree(ftp, local, remote):
    for within, folders, files in os.walk(local):
        to = os.path.normpath(os.path.join(remote, os.path.relpath(within, local)))
        for folder in folders:
            ftp.mkd(name(os.path.join(to, folder)))
        for file in files:
            put(ftp, os.path.join(within, file), os.path.join(to, file))


def get_tree(ftp, remote, local):
    os.makedirs(local, exist_ok=True)
    for found, facts in list(ftp.mlsd(name(remote))):
        there, here = remote + "/" + found, os.path.join(local, found)
        if facts["type"] == "dir":
            get_tree(ftp, there, here)
        elif facts["type"] == "file":
            get(ftp, there, here)


VERBS = {
    "login": lambda ftp: print(ftp.pwd()),
    "cd": lambda ftp, folder: print(ftp.cwd(name(folder)), ftp.pwd()),
    "list": lambda ftp, folder: ftp.dir(name(folder), print),
    "mlsd": lambda ftp, folder: [print(found, facts["size"] if facts["type"] == "file" else "-")
                                 for found, facts in ftp.mlsd(name(folder), ["type", "size"])],
    "get": get, "put": put, "append": append, "abort": abort, "put-tree": put_tree, "get-tree": get_tree,
    "get-from": lambda ftp, offset, remote, local: get(ftp, remote, local, int(offset)),
    "put-from": lambda ftp, offset, local, remote: put(ftp, local, remote, int(offset)),
    "rename": lambda ftp, one, other: ftp.rename(name(one), name(other)),
    "delete": lambda ftp, path: ftp.delete(name(path)),
    "mkdir": lambda ftp, path: print(ftp.mkd(name(path))),
    "rmdir": lambda ftp, path: ftp.rmd(name(path)),
}

sys.stdout.reconfigure(encoding="latin-1")
with ftplib.FTP(timeout=30, encoding="latin-1") as session:
    session.connect(host, int(port))
    session.login(user, password)
    session.set_pasv(mode == "passive")
    VERBS[verb](session, *arguments)
