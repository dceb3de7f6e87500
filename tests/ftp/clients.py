"""The clients: what each is run with to do one thing. A client that lacks a thing says so with `Cannot`."""

import os
import subprocess
from urllib.parse import quote


TREE_LIMIT_S = 600
EVERY_ODD_NAME = {
    "spaces": b"two  words", "quote": b"it's \"so\"", "umlaut": "é\u00fc".encode(), "leading space": b" leading",
    "percent": b"100% %41", "brackets": b"[x] {y}", "long": b"n" * 255, "not UTF-8": b"caf\xe9 \x80",
    "dash": b"-rf", "hash": b"#1;2", "backslash": b"a\\b", "trailing space": b"trailing ",
}


class Cannot(Exception):
    """The client has no way to do that; the reason is shown."""


class Client:
    """One verb each; all paths on the server are absolute, all here are names in the folder of the check."""

    name = ""
    needs = ""
    can_put = True
    # Its exit status is the same whatever happened.
    tells_nothing = False
    odd_names_not_taken = {}

    def verb(self, place, verb, *arguments, **more):
        method = getattr(self, verb.replace("-", "_"), None)
        if method is None or (verb == "put" and not self.can_put):
            raise Cannot("-")
        return method(place, *arguments, **more)


class Driver(Client):
    """A program of ours beside this file that calls a library. It takes all verbs as they are."""

    def __init__(self, name, needs, command, lacks=(), extra=None, odd_names_not_taken=None):
        self.name, self.needs, self.command, self.lacks, self.extra = name, needs, command, set(lacks), extra
        self.odd_names_not_taken = odd_names_not_taken or {}

    def line(self, place, verb, *arguments):
        if verb in self.lacks or (place.is_active and "active" in self.lacks):
            raise Cannot("-")
        mode = "active" if place.is_active else "passive"
        session = [place.host, str(place.port), place.user, place.password, mode]
        return [*self.command, *session, verb, *map(str_or_bytes, arguments)]

    def verb(self, place, verb, *arguments, **more):
        if verb in ("put-tree", "get-tree"):
            more.setdefault("limit_s", TREE_LIMIT_S)
        return place.run(self.line(place, verb, *arguments), extra=self.extra, **more)

    def begin_put(self, place, local, remote):
        return place.begin(self.line(place, "put", local, remote), extra=self.extra)


def str_or_bytes(argument):
    return argument if isinstance(argument, bytes) else str(argument)


class CommandLine(Client):
    def begin_put(self, place, local, remote):
        """The upload under way; what is typed into it is sent, and its input stays open."""
        command, typed, extra = self.put_command(place, local, remote)
        process = place.begin(command, extra=extra)
        process.stdin.write(typed)
        process.stdin.flush()
        return process

    def put(self, place, local, remote, **more):
        command, typed, extra = self.put_command(place, local, remote)
        return place.run(command, typed, extra=extra, **more)


def bytes_of(text):
    return text if isinstance(text, bytes) else os.fsencode(text)


def in_quotes(text):
    return b'"' + bytes_of(text).replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def escaped(text):
    """With a backslash before what a client that is typed into could take for more than a letter."""
    plain = b"/._-"
    return b"".join(bytes([byte]) if byte > 127 or bytes([byte]).isalnum() or byte in plain else b"\\" + bytes([byte])
                    for byte in bytes_of(text))


class Lftp(CommandLine):
    name = needs = "lftp"

    def line(self, place, *commands):
        setup = (f"set net:timeout 20; set net:max-retries 3; set net:reconnect-interval-base 1; set cmd:fail-exit yes; "
                 f"set ftp:passive-mode {'no' if place.is_active else 'yes'}; set ftp:prefer-epsv no; "
                 f"open -u {place.user},{place.password} -p {place.port} {place.host}; ").encode()
        return ["lftp", "-c", setup + b"; ".join(commands)]

    def do(self, place, *commands, **more):
        return place.run(self.line(place, *commands), **more)

    def interactive(self, place):
        setup = f"set net:timeout 20; open -u {place.user},{place.password} -p {place.port} {place.host}\n"
        return ["lftp"], setup.encode()

    def typed_get(self, remote, local):
        return f"get {remote} -o {local}\n".encode()

    def login(self, place):
        return self.do(place, b"cd /", b"pwd")

    def cd(self, place, folder):
        return self.do(place, b"cd " + in_quotes(folder), b"pwd")

    def list(self, place, folder):
        return self.do(place, b"ls " + in_quotes(folder))

    def mlsd(self, place, folder):
        return self.do(place, b"cls -1s --block-size=1 " + in_quotes(bytes_of(folder) + b"/"))

    def get(self, place, remote, local, **more):
        return self.do(place, b"get " + in_quotes(remote) + b" -o " + in_quotes(local), **more)

    def put_command(self, place, local, remote):
        return self.line(place, b"put " + in_quotes(local) + b" -o " + in_quotes(remote)), b"", None

    def get_from(self, place, _offset, remote, local):
        return self.do(place, b"get -c " + in_quotes(remote) + b" -o " + in_quotes(local))

    def put_again(self, place, local, remote):
        return self.do(place, b"put -c " + in_quotes(local) + b" -o " + in_quotes(remote))

    def mirror_again(self, place, local, remote):
        """The one file of a folder, by `mirror`."""
        folder, name = os.path.split(remote)
        assert os.path.basename(local) == name
        return self.do(place, b"mirror -R -c -f " + in_quotes(local) + b" -O " + in_quotes(folder))

    def rename(self, place, one, other):
        return self.do(place, b"mv " + in_quotes(one) + b" " + in_quotes(other))

    def delete(self, place, path):
        return self.do(place, b"rm " + in_quotes(path))

    def mkdir(self, place, path):
        return self.do(place, b"mkdir " + in_quotes(path))

    def rmdir(self, place, path):
        return self.do(place, b"rmdir " + in_quotes(path))

    def put_tree(self, place, local, remote):
        return self.do(place, b"mirror -R -P4 " + in_quotes(local) + b" " + in_quotes(remote), limit_s=TREE_LIMIT_S)

    def get_tree(self, place, remote, local):
        return self.do(place, b"mirror -P4 " + in_quotes(remote) + b" " + in_quotes(local), limit_s=TREE_LIMIT_S)


class Curl(CommandLine):
    name = needs = "curl"

    def line(self, place, *options):
        return ["curl", "-sS", "-u", f"{place.user}:{place.password}", *(["-P", "-"] if place.is_active else []), *options]

    def url(self, place, path):
        return f"ftp://{place.url_host()}:{place.port}{quote(bytes_of(path))}"

    def do(self, place, *options, **more):
        return place.run(self.line(place, *options), **more)

    def login(self, place):
        return self.do(place, "-v", self.url(place, "/"))

    def cd(self, place, folder):
        return self.do(place, "-v", "-Q", b"CWD " + bytes_of(folder), "-Q", "PWD", self.url(place, "/"))

    def list(self, place, folder):
        return self.do(place, self.url(place, bytes_of(folder) + b"/"))

    def get(self, place, remote, local, **more):
        return self.do(place, "-o", local, self.url(place, remote), **more)

    def put_command(self, place, local, remote):
        return self.line(place, "-T", local, self.url(place, remote)), b"", None

    def put_again(self, place, local, remote):
        return self.do(place, "-C", "-", "-T", local, self.url(place, remote))

    def put_retrying(self, place, local, remote):
        retries = ["--retry", "3", "--retry-delay", "1", "--retry-all-errors"]
        return self.do(place, *retries, "-T", local, self.url(place, remote))

    def get_from(self, place, _offset, remote, local):
        return self.do(place, "-C", "-", "-o", local, self.url(place, remote))

    def append(self, place, local, remote):
        return self.do(place, "-a", "-T", local, self.url(place, remote))

    def quoted(self, place, *commands):
        options = [part for command in commands for part in ("-Q", command)]
        return self.do(place, "-o", os.devnull, *options, self.url(place, "/"))

    def rename(self, place, one, other):
        return self.quoted(place, b"RNFR " + bytes_of(one), b"RNTO " + bytes_of(other))

    def delete(self, place, path):
        return self.quoted(place, b"DELE " + bytes_of(path))

    def mkdir(self, place, path):
        return self.quoted(place, b"MKD " + bytes_of(path))

    def rmdir(self, place, path):
        return self.quoted(place, b"RMD " + bytes_of(path))

    def abort(self, place, big, small, local):
        """It wants the beginning of one, and then another."""
        first = self.line(place, "-r", "0-999", "-o", "part", self.url(place, big))
        second = self.line(place, "-o", local, self.url(place, small))
        return place.run([*first, "--next", *second[1:]])

    def put_tree(self, place, local, remote):
        """Files at one level only."""
        names = sorted(os.listdir(place.here(local)))
        return self.do_many(place, [f'upload-file = "{local}/{name}"\nurl = "{self.url(place, f"{remote}/{name}")}"\n'
                                    for name in names])

    def get_tree(self, place, remote, local):
        names = self.do(place, "-l", self.url(place, remote + "/")).decode().split()
        os.makedirs(place.here(local))
        return self.do_many(place, [f'output = "{local}/{name}"\nurl = "{self.url(place, f"{remote}/{name}")}"\n'
                                    for name in names])

    def do_many(self, place, transfers):
        with open(place.here("transfers"), "w") as file:
            file.writelines(transfers)
        return self.do(place, "--parallel", "--parallel-max", "8", "-K", "transfers", limit_s=TREE_LIMIT_S)


class Rclone(CommandLine):
    name = needs = "rclone"
    odd_names_not_taken = {"trailing space": "sends another character for it"}

    def settings(self, place):
        obscured = subprocess.check_output(["rclone", "obscure", place.password], text=True).strip()
        return {"RCLONE_FTP_HOST": place.url_host(), "RCLONE_FTP_PORT": str(place.port), "RCLONE_FTP_USER": place.user,
                "RCLONE_FTP_PASS": obscured, "RCLONE_CONFIG": os.path.join(place.home, "rclone.conf")}

    def do(self, place, *command, **more):
        if place.is_active:
            raise Cannot("-")
        return place.run(["rclone", "--retries", "1", "--timeout", "20s", *command], extra=self.settings(place), **more)

    def there(self, path):
        return b":ftp:" + bytes_of(path)

    def login(self, place):
        return self.do(place, "lsd", self.there("/"), fails=False) + b"/"

    def mlsd(self, place, folder):
        return self.do(place, "lsf", "--format", "ps", "--separator", " ", self.there(folder))

    def get(self, place, remote, local, **more):
        return self.do(place, "copyto", self.there(remote), place.here(local), **more)

    def put_command(self, place, local, remote):
        if place.is_active:
            raise Cannot("-")
        command = ["rclone", "--retries", "1", "--low-level-retries", "3", "copyto", "--ignore-times"]
        return [*command, place.here(local), self.there(remote)], b"", self.settings(place)

    def rename(self, place, one, other):
        return self.do(place, "moveto", "--ignore-times", self.there(one), self.there(other))

    def delete(self, place, path):
        return self.do(place, "deletefile", self.there(path))

    def mkdir(self, place, path):
        return self.do(place, "mkdir", self.there(path))

    def rmdir(self, place, path):
        return self.do(place, "rmdir", self.there(path))

    def put_tree(self, place, local, remote):
        return self.do(place, "sync", "--create-empty-src-dirs", "--transfers", "8", place.here(local), self.there(remote),
                       limit_s=TREE_LIMIT_S)

    def get_tree(self, place, remote, local):
        return self.do(place, "sync", "--create-empty-src-dirs", "--transfers", "8", self.there(remote), place.here(local),
                       limit_s=TREE_LIMIT_S)


class Wget(CommandLine):
    name = needs = "wget"
    can_put = False

    def do(self, place, *options, **more):
        active = ["--no-passive-ftp"] if place.is_active else []
        return place.run(["wget", "-nv", "-t", "2", "-T", "30", "--no-iri", "--restrict-file-names=nocontrol",
                          f"--ftp-user={place.user}", f"--ftp-password={place.password}", *active, *options], **more)

    def url(self, place, path):
        return f"ftp://{place.url_host()}:{place.port}{quote(bytes_of(path))}"

    def login(self, place):
        return self.do(place, "-d", "-O", "listing", self.url(place, "/"))

    def list(self, place, folder):
        self.do(place, "--no-remove-listing", "-O", "index", self.url(place, bytes_of(folder) + b"/"))
        with open(place.here(".listing"), "rb") as file:
            return file.read()

    def get(self, place, remote, local, **more):
        return self.do(place, "-O", local, self.url(place, remote), **more)

    def get_from(self, place, _offset, remote, local):
        """It goes on with a file of the same name."""
        kept = os.path.basename(remote)
        os.rename(place.here(local), place.here(kept))
        said = self.do(place, "-c", self.url(place, remote))
        os.rename(place.here(kept), place.here(local))
        return said

    def get_tree(self, place, remote, local):
        cut = str(len(remote.strip("/").split("/")))
        return self.do(place, "-q", "-r", "-l", "inf", "-nH", f"--cut-dirs={cut}", "-P", local,
                       self.url(place, remote + "/"), limit_s=TREE_LIMIT_S)


class Busybox(CommandLine):
    name = needs = "busybox"

    def options(self, place):
        if place.is_active:
            raise Cannot("-")
        return ["-P", str(place.port), "-u", place.user, "-p", place.password]

    def login(self, place):
        raise Cannot("-")

    def get(self, place, remote, local, **more):
        return place.run(["busybox", "ftpget", *self.options(place), place.host, local, remote], **more)

    def get_from(self, place, _offset, remote, local):
        return place.run(["busybox", "ftpget", "-c", *self.options(place), place.host, local, remote])

    def put_command(self, place, local, remote):
        return ["busybox", "ftpput", *self.options(place), place.host, remote, local], b"", None

