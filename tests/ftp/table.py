"""Runs the checks of a table side by side, and prints it: an operation a row, a client a column."""

import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

from ftp.clients import Cannot
from ftp.server import Failed, Place

WORKERS = 4


class Table:
    """`serve` starts a server over a new folder. Checks share one, but for those that want one to themselves."""

    def __init__(self, title, columns, missing, serve, scratch, workers=WORKERS):
        self.title, self.columns, self.missing, self.serve = title, columns, missing, serve
        self.scratch, self.workers = scratch, workers
        self.cells, self.wrong, self.lock = {}, [], threading.Lock()
        self.rows = []

    def run(self, rows, only=None):
        """`rows` is names with functions of a place and a client."""
        self.rows = list(rows)
        begun = time.monotonic()
        with self.serve("all") as shared, ThreadPoolExecutor(self.workers) as pool:
            for row, check in rows.items():
                for client in self.columns:
                    if not only or only in f"{row}/{client.name}":
                        pool.submit(self.check, shared, row, check, client)
        self.print(time.monotonic() - begun)
        return not self.wrong

    def check(self, shared, row, check, client):
        reason = self.missing.get(client.name) or self.missing.get(client.needs)
        if reason:
            self.note(row, client, "skip")
            return
        name = f"{row}.{client.name}".translate(str.maketrans(" /,", "---"))
        try:
            if getattr(check, "wants_own_server", False):
                with self.serve(name) as server:
                    self.check_in(Place(server, name, self.scratch), check, client)
            else:
                self.check_in(Place(shared, name, self.scratch), check, client)
            self.note(row, client, "pass")
        except Cannot as cannot:
            self.note(row, client, str(cannot))
        except Failed as failed:
            self.note(row, client, "FAIL", str(failed))
        except Exception:
            self.note(row, client, "FAIL", traceback.format_exc())

    def check_in(self, place, check, client):
        try:
            check(place, client)
            if not place.server.is_running():
                raise Failed("the server is gone")
        finally:
            place.clear()

    def note(self, row, client, outcome, why=None):
        with self.lock:
            self.cells[row, client.name] = outcome
            if why:
                self.wrong.append((row, client.name, why))

    def print(self, taken_s):
        for row, client, why in sorted(self.wrong):
            print(f"FAIL {self.title}: {row}/{client}: {why}\n")
        width = max(map(len, self.rows)) + 1
        print(self.title.ljust(width) + " ".join(client.name.rjust(6) for client in self.columns))
        for row in self.rows:
            if any((row, client.name) in self.cells for client in self.columns):
                cells = (self.cells.get((row, client.name), "").rjust(max(6, len(client.name))) for client in self.columns)
                print(row.ljust(width) + " ".join(cells))
        count = list(self.cells.values()).count
        counts = ", ".join(f"{count(outcome)} {outcome}" for outcome in ("pass", "FAIL", "skip"))
        print(f"{self.title}: {counts}, in {taken_s:.0f} s\n", flush=True)
