from __future__ import annotations

import pytest
from ansible_collections.mailgate.qmail.plugins.module_utils.mailgate.formats import tai64n
from hypothesis import given
from hypothesis import strategies as st

# label, unix nanoseconds, the line as tai64nlocal writes it in UTC
KNOWN: list[tuple[str, int, str]] = [
    ("@400000000000000a00000000", 0, "1970-01-01 00:00:00.000000000"),
    ("@400000000000000a00000001", 1, "1970-01-01 00:00:00.000000001"),
    ("@40000000000000093b9ac9ff", -1, "1969-12-31 23:59:59.999999999"),
    ("@4000000045d4d40e1b2f5c84", 1171575812_456088708, "2007-02-15 21:43:32.456088708"),
    ("@400000008000000a00000000", 2**31 * 10**9, "2038-01-19 03:14:08.000000000"),
]


@pytest.mark.parametrize(("label", "unix_nanoseconds", "local"), KNOWN)
def test_a_label_is_the_unix_time_plus_2_to_62_plus_10(label: str, unix_nanoseconds: int, local: str) -> None:
    assert tai64n.parse(label) == unix_nanoseconds
    assert tai64n.render(unix_nanoseconds) == label
    assert tai64n.unpack(bytes.fromhex(label[1:])) == unix_nanoseconds
    assert tai64n.pack(unix_nanoseconds) == bytes.fromhex(label[1:])
    assert tai64n.readable(f"{label} a line") == f"{local} a line"


@given(st.integers(-(2**62 + 10) * 10**9, (2**62 - 10) * 10**9 - 1))
def test_rendering_and_parsing_are_inverses(unix_nanoseconds: int) -> None:
    assert tai64n.parse(tai64n.render(unix_nanoseconds)) == unix_nanoseconds
    assert tai64n.unpack(tai64n.pack(unix_nanoseconds)) == unix_nanoseconds


@given(st.integers(), st.integers())
def test_labels_sort_as_times_do(one: int, other: int) -> None:
    one, other = one % 2**61, other % 2**61
    assert (tai64n.render(one) < tai64n.render(other)) == (one < other)


NO_LABEL = "is not a label; expected '@' and 24 lower-case hex digits"
BAD_LABELS: list[tuple[str, str]] = [
    ("", f"tai64n label: '' {NO_LABEL}"),
    ("400000000000000a00000000", f"tai64n label: '400000000000000a00000000' {NO_LABEL}"),
    ("@400000000000000a0000000", f"tai64n label: '@400000000000000a0000000' {NO_LABEL}"),
    ("@400000000000000a00000000\n", f"tai64n label: '@400000000000000a00000000\\n' {NO_LABEL}"),
    ("@400000000000000A00000000", f"tai64n label: '@400000000000000A00000000' {NO_LABEL}"),
    (
        "@400000000000000a3b9aca00",
        "tai64n label: '@400000000000000a3b9aca00' has 1000000000 nanoseconds; expected at most 999999999",
    ),
    (
        "@800000000000000000000000",
        "tai64n label: '@800000000000000000000000' has 2^63 seconds or more; expected less",
    ),
]


@pytest.mark.parametrize(("label", "message"), BAD_LABELS)
def test_what_is_no_label_is_refused(label: str, message: str) -> None:
    with pytest.raises(tai64n.BadLabel) as caught:
        tai64n.parse(label)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "line",
    ["", "@", "@400000000000000a3b9aca00 x", "@400000000000000A00000000 x", "x @400000000000000a00000000"],
)
def test_a_line_without_a_label_at_its_start_stays_as_it_is(line: str) -> None:
    assert tai64n.readable(line) == line


def test_bytes_of_another_length_are_refused() -> None:
    with pytest.raises(tai64n.BadLabel) as caught:
        tai64n.unpack(b"\x40")
    assert str(caught.value) == "tai64n label: b'@' has 1 bytes; expected 12"


def test_a_time_outside_of_tai64_is_refused() -> None:
    for unix_nanoseconds in (-(2**62 + 10) * 10**9 - 1, (2**62 - 10) * 10**9):
        with pytest.raises(tai64n.BadLabel) as caught:
            tai64n.render(unix_nanoseconds)
        expected = f"tai64n time: {unix_nanoseconds} is outside of TAI64; expected unix nanoseconds"
        assert str(caught.value) == expected


def test_a_line_with_an_absurd_year_stays_as_it_is() -> None:
    line = "@7fffffffffffffff00000000 x"
    assert tai64n.readable(line) == line
