"""``python -m flows.serve`` serves the deployments ``build-dataset/PRESET``, as ``lungtwin serve`` does."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
