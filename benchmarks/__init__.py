"""Speed and accuracy beside the peers that install: ``make bench``. See ``docs/performance.md``."""
