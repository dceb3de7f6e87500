"""pyftpdlib's own functional tests against the server, beside the list of those that it does not pass."""

import os
import subprocess
import tomllib

from ftp.install import HERE
from ftp.server import Server, scratch_folder

NOT_PASSED = os.path.join(HERE, "pyftpdlib-not-passed.toml")
MIN_PASSED = 75
LIMIT_S = 300


def outcomes(program, installed, chosen):
    """What each test came to, and all that pytest said."""
    with scratch_folder() as scratch:
        served, results = os.path.join(scratch, "served"), os.path.join(scratch, "results")
        os.makedirs(served)
        with Server(program, served, installed.python) as server:
            environment = {**os.environ, "PYTHONPATH": f"{installed.suite}:{HERE}", "FTP_TEST_PORT": str(server.port),
                           "FTP_TEST_RESULTS": results, "PYTHONDONTWRITEBYTECODE": "1"}
            command = [installed.python, "-m", "pytest", "-p", "pyftpdlib_plugin", "--rootdir", installed.suite,
                       "-c", os.devnull, "-p", "no:cacheprovider", "-q", "--tb=short", *(["-k", chosen] if chosen else []),
                       os.path.join(installed.suite, "tests", "test_functional.py")]
            done = subprocess.run(command, cwd=served, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=LIMIT_S, check=False)
        said = done.stdout.decode(errors="replace")
        if not os.path.exists(results):
            return {}, said
        with open(results, encoding="utf-8") as file:
            return {name: outcome for outcome, name in (line.rstrip("\n").split(" ", 1) for line in file)}, said


def run(program, installed, chosen=None, verbose=False):
    """Whether all is as the list says."""
    with open(NOT_PASSED, "rb") as file:
        listed = tomllib.load(file)
    found, said = outcomes(program, installed, chosen)
    passed = [name for name, outcome in found.items() if outcome == "passed"]
    wrong = [f"{name}: {outcome}, and is not on the list" for name, outcome in found.items()
             if outcome != "passed" and name not in listed]
    wrong += [f"{name}: passes, and is on the list" for name in passed if name in listed]
    if not chosen:
        wrong += [f"{name}: on the list, and no such test ran" for name in listed if name not in found]
        if len(passed) < MIN_PASSED:
            wrong.append(f"{len(passed)} tests pass, and {MIN_PASSED} are to")
    if verbose or (wrong and not found):
        print(said)
    print(f"pyftpdlib's tests: {len(passed)} of {len(found)} pass, {len(listed)} are on the list of those that do not")
    for line in wrong:
        print("  " + line)
    return not wrong and bool(found)
