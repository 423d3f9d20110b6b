"""The only place that makes keys: integers of 64 bits that fix all chance of one named decision.

``key = blake2b-64(study seed, name, name, ...)``, each part with its length before it, so that no two lists of names
give the same bytes. A key depends on names alone, never on order: adding, removing or reordering other twins, nodules
or scans never changes one. BLAKE2b: RFC 7693.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


def make_key(seed: int, *names: str | int) -> int:
    """The key of one decision: 63 random bits, so that signed 64-bit columns of any file or table hold it too.

    Parameters
    ----------
    seed
        The study's seed.
    names
        What the decision concerns, from the large to the small: ``"twin", "woman", "nodule", "solid", "shape"``.

    Examples
    --------
    >>> make_key(7, "twin", "woman") == make_key(7, "twin", "woman")
    True
    >>> make_key(7, "ab", "c") == make_key(7, "a", "bc")
    False
    """
    hasher = blake2b(digest_size=8, person=b"lungtwin-key-1")
    hasher.update(b"".join([_part(part) for part in (seed, *names)]))
    return int.from_bytes(hasher.digest(), "little") >> 1


@lru_cache(maxsize=4096, typed=True)
def _part(part: int | str) -> bytes:
    """One part of what is hashed; most of them come again and again."""
    data = f"{type(part).__name__}:{part}".encode()
    return len(data).to_bytes(4, "little") + data
