"""Clients that are typed into: ncftp, tnftp and inetutils' ftp. The last two end with status 0 whatever happened."""

import os

from ftp.clients import TREE_LIMIT_S, Cannot, CommandLine, escaped


class Ncftp(CommandLine):
    name, needs = "ncftp", "ncftpput"
    odd_names_not_taken = {"long": "cuts paths off at 512 bytes"}

    def options(self, place):
        if ":" in place.host:
            raise Cannot("-")
        return ["-u", place.user, "-p", place.password, "-P", str(place.port), "-r", "1", "-t", "20", "-V",
                "-E" if place.is_active else "-F"]

    def ls_options(self, place):
        return [option for option in self.options(place) if option != "-V"]

    def type(self, place, *commands):
        passive = b"set passive " + (b"off" if place.is_active else b"on")
        where = f"open -u {place.user} -p {place.password} -P {place.port} {place.host}".encode()
        self.options(place)
        return place.run(["ncftp"], b"\n".join([b"set confirm-close no", passive, where, *commands, b"bye\n"]), fails=None)

    def interactive(self, place):
        return ["ncftp", "-u", place.user, "-p", place.password, "-P", str(place.port), place.host], b""

    def typed_get(self, remote, _local):
        return f"get {remote}\n".encode()

    def login(self, place):
        return self.type(place, b"pwd")

    def cd(self, place, folder):
        return self.type(place, b"cd " + escaped(folder), b"pwd")

    def list(self, place, folder):
        return place.run(["ncftpls", *self.ls_options(place), "-l", f"ftp://{place.host}{os.fsdecode(folder)}/"])

    def mlsd(self, place, folder):
        return place.run(["ncftpls", *self.ls_options(place), "-m", f"ftp://{place.host}{os.fsdecode(folder)}/"])

    def get(self, place, remote, local, **more):
        return place.run(["ncftpget", *self.options(place), "-Z", "-C", place.host, remote, local], **more)

    def put_command(self, place, local, remote):
        return ["ncftpput", *self.options(place), "-C", place.host, local, remote], b"", None

    def named_like(self, place, local, remote):
        """-z and -A know folders only, where the file gets its own name."""
        folder, name = os.path.split(remote)
        if os.path.basename(local) != name:
            os.symlink(local, place.here(name))
        return folder, name

    def put_again(self, place, local, remote):
        folder, name = self.named_like(place, local, remote)
        return place.run(["ncftpput", *self.options(place), "-z", place.host, folder, name])

    def append(self, place, local, remote):
        folder, name = self.named_like(place, local, remote)
        return place.run(["ncftpput", *self.options(place), "-A", place.host, folder, name])

    def get_from(self, place, _offset, remote, local):
        name = os.path.basename(remote)
        os.rename(place.here(local), place.here(name))
        said = place.run(["ncftpget", *self.options(place), "-z", place.host, ".", remote])
        os.rename(place.here(name), place.here(local))
        return said

    def rename(self, place, one, other):
        return self.type(place, b"rename " + escaped(one) + b" " + escaped(other))

    def delete(self, place, path):
        return self.type(place, b"rm " + escaped(path))

    def mkdir(self, place, path):
        return self.type(place, b"mkdir " + escaped(path))

    def rmdir(self, place, path):
        return self.type(place, b"rmdir " + escaped(path))

    def put_tree(self, place, local, remote):
        """It names the folder as it is named here."""
        return place.run(["ncftpput", *self.options(place), "-R", place.host, os.path.dirname(remote), local],
                         limit_s=TREE_LIMIT_S)

    def get_tree(self, place, remote, local):
        os.makedirs(place.here(os.path.dirname(local)), exist_ok=True)
        return place.run(["ncftpget", *self.options(place), "-R", "-T", place.host, os.path.dirname(local) or ".", remote],
                         limit_s=TREE_LIMIT_S)


class Typed(CommandLine):
    """BSD's ftp and what came of it."""

    tells_nothing = True

    def lines(self, place, *commands):
        login = f"user {place.user} {place.password}".encode()
        return b"\n".join([login, b"binary", *commands]) + b"\n"

    def type(self, place, *commands, **more):
        return place.run(self.program(place), self.lines(place, *commands) + b"bye\n", fails=None, **more)

    def interactive(self, place):
        return self.program(place), self.lines(place)

    def typed_get(self, remote, local):
        return f"get {remote} {local}\n".encode()

    def put_command(self, place, local, remote):
        command = b"put " + escaped(local) + b" " + escaped(remote)
        return self.program(place), self.lines(place, command), None

    def put(self, place, local, remote, **more):
        command, typed, extra = self.put_command(place, local, remote)
        return place.run(command, typed + b"bye\n", extra=extra, fails=None, **more)

    def login(self, place):
        return self.type(place, b"pwd")

    def cd(self, place, folder):
        return self.type(place, b"cd " + escaped(folder), b"pwd")

    def list(self, place, folder):
        return self.type(place, b"ls " + escaped(folder))

    def get(self, place, remote, local, **more):
        return self.type(place, b"get " + escaped(remote) + b" " + escaped(local), **more)

    def append(self, place, local, remote):
        return self.type(place, b"append " + escaped(local) + b" " + escaped(remote))

    def rename(self, place, one, other):
        return self.type(place, b"rename " + escaped(one) + b" " + escaped(other))

    def delete(self, place, path):
        return self.type(place, b"delete " + escaped(path))

    def mkdir(self, place, path):
        return self.type(place, b"mkdir " + escaped(path))

    def rmdir(self, place, path):
        return self.type(place, b"rmdir " + escaped(path))


class Tnftp(Typed):
    name = needs = "tnftp"

    def program(self, place):
        return ["tnftp", "-n", "-i", "-v", "-A" if place.is_active else "-p", place.host, str(place.port)]

    def mlsd(self, place, folder):
        return self.type(place, b"mlsd " + escaped(folder))

    def get_from(self, place, _offset, remote, local):
        return self.type(place, b"reget " + escaped(remote) + b" " + escaped(local))


class Inetutils(Typed):
    name, needs = "inetutils", "inetutils-ftp"

    def program(self, place):
        return ["inetutils-ftp", "-n", "-i", "-v", "-A" if place.is_active else "-p", place.host, str(place.port)]


