"""For pytest: has pyftpdlib's own tests ask another server, and leaves out those that look inside pyftpdlib's process.

Loaded before the tests. FTP_TEST_PORT is the server's port; the results go to the file FTP_TEST_RESULTS, one a line.
"""

import os

import tests

PATIENCE_S = 5
# Of each: the class, or one test of it.
LOOKS_INSIDE = {
    "TestFtpStoreDataNoSendfile", "TestFtpStoreDataWithCustomIO", "TestFtpRetrieveDataNoSendfile",
    "TestFtpRetrieveDataCustomIO", "TestThrottleBandwidth", "TestTimeouts", "TestConfigurableOptions", "TestCallbacks",
    "ThreadedFTPTests", "test_unforeseen_time_event", "test_error_on_callback", "test_active_conn_error", "test_repr",
    "test_ioloop_fileno", "test_stou_max_tries",
}


class Outside:
    """In place of the wrapper that runs a server in the process of the tests."""

    handler = tests.FtpdThreadWrapper.handler

    def __init__(self, addr=None):
        self.host = addr[0] if addr and addr[0] else tests.HOST
        self.port = int(os.environ["FTP_TEST_PORT"])

    def start(self):
        """The server runs already."""

    def stop(self):
        """It goes on."""


tests.FtpdThreadWrapper = tests.FtpdMultiprocWrapper = Outside
tests.GLOBAL_TIMEOUT = PATIENCE_S
tests.NO_RETRIES = 1


def pytest_collection_modifyitems(config, items):
    def is_kept(item):
        return not LOOKS_INSIDE & {item.cls.__name__ if item.cls else "", item.name}

    config.hook.pytest_deselected(items=[item for item in items if not is_kept(item)])
    items[:] = [item for item in items if is_kept(item)]


class Results:
    """The worst of what set-up, test and tear-down came to."""

    ORDER = ("passed", "skipped", "failed")

    def __init__(self):
        self.of = {}

    def pytest_runtest_logreport(self, report):
        name = "::".join(report.nodeid.split("::")[1:])
        before = self.of.get(name, "passed")
        self.of[name] = max(before, report.outcome, key=self.ORDER.index)

    def pytest_sessionfinish(self):
        with open(os.environ["FTP_TEST_RESULTS"], "w", encoding="utf-8") as file:
            file.writelines(f"{outcome} {name}\n" for name, outcome in self.of.items())


def pytest_configure(config):
    config.pluginmanager.register(Results())
