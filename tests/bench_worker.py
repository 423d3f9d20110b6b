"""A worker for the bench's tests: jobs that note their turns in a file, and one that cannot be done."""

import sys
from pathlib import Path

from benchmarks.serving import Job, serve


def turns(tiny, threads, name, path):
    def run():
        sys.stdout.write("chatter that must not reach the answers\n")
        sys.stdout.flush()
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(name)

    return Job(10.0, run, lambda: {"name": name, "tiny": tiny, "threads": threads})


def fails(tiny, threads):
    raise ValueError("no such detector")


def stops(tiny, threads):
    return Job(1.0, lambda: sys.exit(3))


if __name__ == "__main__":
    serve({"turns": turns, "fails": fails, "stops": stops})
