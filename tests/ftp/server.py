"""The server under test over a folder of its own, and the folders that a check has to itself."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

LOOPBACK = "127.0.0.1"
USER, PASSWORD = "user", "12345"
START_LIMIT_S = 30
RUN_LIMIT_S = 90


class Failed(Exception):
    """What was expected and did not come."""


class Server:
    """`ferryd`, or as a peer to try the checks themselves on: pyftpdlib's own server."""

    def __init__(self, program, folder, python=sys.executable):
        self.folder, self.log = folder, []
        if program == "pyftpdlib":
            command = [python, "-m", "pyftpdlib", "-w", "-i", LOOPBACK, "-p", "0", "-u", USER, "-P", PASSWORD,
                       "-d", folder]
            told = re.compile(rb"starting FTP server on .*:(\d+)")
        else:
            command = [program, "--listen", LOOPBACK, "--listen", "::1", "--port", "0", "--data-port", "0",
                       "--ftp-port", "0", folder]
            told = re.compile(rb"FTP Port: (\d+)")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        self.port, self.heard = None, threading.Event()
        self.reader = threading.Thread(target=self.read, args=(told,), daemon=True)
        self.reader.start()
        if not self.heard.wait(START_LIMIT_S) or self.port is None:
            self.stop()
            raise SystemExit("cannot start the server:\n" + b"".join(self.log).decode(errors="replace"))

    def read(self, told):
        for line in self.process.stderr:
            self.log.append(line)
            found = told.search(line)
            if found and not self.heard.is_set():
                self.port = int(found.group(1))
                self.heard.set()
        self.heard.set()

    def is_running(self):
        return self.process.poll() is None

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Place:
    """What one check has to itself: a folder on the server, one here, a home, and the ways to ask and compare."""

    def __init__(self, server, name, scratch):
        self.server, self.host, self.port = server, LOOPBACK, server.port
        self.user, self.password, self.is_active = USER, PASSWORD, False
        self.top = "/" + name
        self.remote = os.path.join(server.folder, name)
        self.local = os.path.join(scratch, name)
        self.home = os.path.join(scratch, name + ".home")
        for folder in (self.remote, self.local, self.home):
            os.makedirs(folder)

    def clear(self):
        for folder in (self.remote, self.local, self.home):
            shutil.rmtree(folder, ignore_errors=True)

    def url_host(self):
        return f"[{self.host}]" if ":" in self.host else self.host

    def on_server(self, name):
        return os.path.join(self.remote, name)

    def here(self, name):
        return os.path.join(self.local, name)

    def path(self, name):
        return f"{self.top}/{name}"

    def environment(self, extra=None):
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        return {**kept, "HOME": self.home, "LC_ALL": "C.UTF-8", "TERM": "dumb", **(extra or {})}

    def begin(self, command, extra=None, **more):
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **more}
        return subprocess.Popen(command, cwd=self.local, env=self.environment(extra), **streams)

    def run(self, command, stdin=b"", fails=False, extra=None, limit_s=RUN_LIMIT_S):
        """Its output. `fails=None`: either way is right."""
        process = self.begin(command, extra)
        try:
            output, _ = process.communicate(stdin, timeout=limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            raise Failed(f"not done after {limit_s} s: {shown(command)}\n{tail(output)}") from None
        if fails is not None and (process.returncode != 0) != fails:
            raise Failed(f"exit status {process.returncode}: {shown(command)}\n{tail(output)}")
        return output

    def put_on_server(self, name, content):
        os.makedirs(os.path.dirname(self.on_server(name)), exist_ok=True)
        write(self.on_server(name), content)

    def put_here(self, name, content):
        os.makedirs(os.path.dirname(self.here(name)), exist_ok=True)
        write(self.here(name), content)


def shown(command):
    return " ".join(os.fsdecode(part) for part in command)


def tail(output):
    return output[-1500:].decode(errors="replace")


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def told(content):
    return "missing" if content is None else f"{len(content)} bytes {content[:20]!r}"


def same(path, expected, what="file"):
    found = read(path)
    if found != expected:
        raise Failed(f"{what} {path!r}: {told(found)} in place of {told(expected)}")


def holds(output, part, what="output"):
    part = part if isinstance(part, bytes) else os.fsencode(part)
    if part not in output:
        raise Failed(f"{what} lacks {part!r}:\n{tail(output)}")


def tree(folder):
    """Every file below with its content, every folder with None."""
    found = {}
    for within, folders, files in os.walk(os.fsencode(folder)):
        beneath = os.path.relpath(within, os.fsencode(folder))
        for name in folders:
            found[os.path.normpath(os.path.join(beneath, name))] = None
        for name in files:
            found[os.path.normpath(os.path.join(beneath, name))] = read(os.path.join(within, name))
    return found


def same_tree(one, other):
    left, right = tree(one), tree(other)
    if left != right:
        odd = sorted(name for name in left.keys() | right.keys() if left.get(name, b"-") != right.get(name, b"-"))
        raise Failed(f"{one} and {other} differ in {len(odd)} of {len(left)} names: {odd[:5]}")


def scratch_folder():
    return tempfile.TemporaryDirectory(prefix="ftp-clients-", ignore_cleanup_errors=True)
