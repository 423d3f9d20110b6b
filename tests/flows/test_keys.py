"""Keys are functions of names, never of order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.study.keys import make_key
from flows.study.streams import Streams, stream

NAMES = st.lists(st.one_of(st.text(max_size=8), st.integers(0, 99)), min_size=1, max_size=4)


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1), NAMES, NAMES)
def test_two_decisions_share_a_key_only_if_all_their_names_agree(seed, first, second):
    same = [(type(n), n) for n in first] == [(type(n), n) for n in second]
    assert (make_key(seed, *first) == make_key(seed, *second)) == same  # 63 bits: chance agreement is 1e-19 a try


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1), NAMES)
def test_a_key_fits_a_signed_64_bit_column(seed, names):
    assert 0 <= make_key(seed, *names) < 2**63


def test_a_key_never_changes_between_versions():
    assert make_key(20260101, "twin", "woman", "anatomy") == KNOWN


KNOWN = 9088366869068498796


def test_streams_that_are_turned_to_are_those_that_are_made_anew():
    streams = Streams(7)
    for names in (("twin", "a"), ("twin", "b"), ("twin", "a")):
        turned, made = streams(*names), stream(7, *names)
        turned.integers(2**32, dtype=np.uint32)  # leaves half a word behind for whoever comes next
        made.integers(2**32, dtype=np.uint32)
        assert turned.random(5).tolist() == made.random(5).tolist()


def test_another_version_of_a_library_is_another_content_key(monkeypatch):
    from flows.store import address

    def key():
        return address.content_key("image", 1, path="a", spec={}, inputs={}, backend="cpu")

    before = key()
    assert key() == before
    known = address.library_versions()
    assert {"numpy", "numba", "scipy"} <= set(known)
    monkeypatch.setattr(address, "library_versions", lambda: {**known, "numpy": "0.0"})
    assert key() != before
