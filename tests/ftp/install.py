"""Brings the clients here: packages of Debian, PyPI and npm, and what is compiled of them. All that is not Debian's goes
below `target/ftp-clients` and is kept there."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.path.join(ROOT, "target", "ftp-clients")
DRIVERS = os.path.join(HERE, "drivers")

DEBIAN = {
    "lftp": "lftp", "curl": "curl", "rclone": "rclone", "ncftpput": "ncftp", "tnftp": "tnftp",
    "inetutils-ftp": "inetutils-ftp", "wget": "wget", "busybox": "busybox", "perl": "perl", "php": "php-cli",
    "ruby": "ruby", "nmap": "nmap", "node": "nodejs", "npm": "npm", "javac": "default-jdk-headless",
}
COMMONS_NET_JAR = "/usr/share/java/commons-net.jar"
BASIC_FTP = "basic-ftp@6.2.6"
PYFTPDLIB, PYFTPDLIB_SHA256 = "2.2.0", "4ba0642078792df63dd3b2e9c8f838f2a3ecf428c7518d5921c0530d53512acf"
PYTHON_PACKAGES = [
    f"pyftpdlib=={PYFTPDLIB}", "aioftp==0.28.3", "pyopenssl==26.4.0", "psutil==7.2.2", "pytest==9.2.0",
    "setuptools", "wheel",
]


def quietly(command, **more):
    """Whether it worked; what it said is shown if not."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **more)
    if done.returncode:
        said = done.stdout[-2000:].decode(errors="replace")
        print(f"{' '.join(command)}: exit status {done.returncode}\n{said}", file=sys.stderr)
    return done.returncode == 0


class Installed:
    """What there is to be used, and for what is missing the reason."""

    def __init__(self):
        os.makedirs(CACHE, exist_ok=True)
        self.missing = {}
        self.debian()
        self.python = os.path.join(CACHE, "venv", "bin", "python")
        self.ftpbench = os.path.join(CACHE, "venv", "bin", "ftpbench")
        self.node_modules = os.path.join(CACHE, "npm", "node_modules")
        self.classes = os.path.join(CACHE, "classes")
        self.suppaftp = os.path.join(ROOT, "target", "debug", "examples", "suppaftp_client")
        self.suite = os.path.join(CACHE, f"pyftpdlib-{PYFTPDLIB}")
        for what, install in (("ftplib", self.venv), ("basic-ftp", self.npm), ("commons-net", self.java),
                              ("suppaftp", self.cargo), ("pyftpdlib's tests", self.sdist)):
            if not install():
                self.missing.setdefault(what, "cannot be installed")

    def debian(self):
        def lacking():
            packages = {package for program, package in DEBIAN.items() if not shutil.which(program)}
            return packages | (set() if os.path.exists(COMMONS_NET_JAR) else {"libcommons-net-java"})

        if lacking() and os.geteuid() == 0 and shutil.which("apt-get"):
            quietly(["apt-get", "update", "-qq"])
            quietly(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *sorted(lacking())],
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
        for program, package in DEBIAN.items():
            if not shutil.which(program):
                self.missing[program] = f"package {package} is not there"

    def venv(self):
        stamp = os.path.join(CACHE, "venv", "installed")
        wanted = "\n".join(PYTHON_PACKAGES)
        if os.path.exists(stamp) and open(stamp).read() == wanted:
            return True
        shutil.rmtree(os.path.join(CACHE, "venv"), ignore_errors=True)
        if not (quietly([sys.executable, "-m", "venv", os.path.join(CACHE, "venv")])
                and quietly([self.python, "-m", "pip", "-q", "install", *PYTHON_PACKAGES])):
            self.missing["aioftp"] = "cannot be installed"
            return False
        with open(stamp, "w") as file:
            file.write(wanted)
        return True

    def npm(self):
        if "node" in self.missing or "npm" in self.missing:
            self.missing["basic-ftp"] = "node or npm is not there"
            return False
        package = os.path.join(self.node_modules, "basic-ftp", "package.json")
        if os.path.exists(package) and f'"version": "{BASIC_FTP.split("@")[1]}"' in open(package).read():
            return True
        prefix = os.path.dirname(self.node_modules)
        os.makedirs(prefix, exist_ok=True)
        return quietly(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", prefix, BASIC_FTP], cwd=prefix)

    def java(self):
        source = os.path.join(DRIVERS, "CommonsNet.java")
        if "javac" in self.missing or not os.path.exists(COMMONS_NET_JAR):
            self.missing["commons-net"] = "javac or libcommons-net-java is not there"
            return False
        made = os.path.join(self.classes, "CommonsNet.class")
        if os.path.exists(made) and os.path.getmtime(made) > os.path.getmtime(source):
            return True
        os.makedirs(self.classes, exist_ok=True)
        return quietly(["javac", "-cp", COMMONS_NET_JAR, "-d", self.classes, source])

    def cargo(self):
        return quietly(["cargo", "build", "--locked", "-p", "ferry-tests", "--example", "suppaftp_client"], cwd=ROOT)

    def sdist(self):
        """pyftpdlib's tests come with its source only, which is taken by its hash."""
        if os.path.isdir(os.path.join(self.suite, "tests")):
            return True
        archive = self.suite + ".tar.gz"
        source_only = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
        if not quietly([self.python, "-m", "pip", "-q", "download", *source_only, "-d", CACHE, f"pyftpdlib=={PYFTPDLIB}"]):
            return False
        with open(archive, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        if digest != PYFTPDLIB_SHA256:
            self.missing["pyftpdlib's tests"] = f"the source has sha256 {digest} in place of {PYFTPDLIB_SHA256}"
            return False
        with tarfile.open(archive) as packed:
            packed.extractall(CACHE, filter="data")
        return True
