import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.clock import ClockError, elapsed_s, format_clock, parse_clock, period_start_s


def test_six_minutes_left_in_the_second_quarter_is_minute_18() -> None:
    assert elapsed_s(2, 360) == 18 * 60


def test_overtime_starts_after_48_minutes_and_lasts_five() -> None:
    assert period_start_s(5) == 2880
    assert elapsed_s(5, 0) == elapsed_s(6, 300) == 3180


@pytest.mark.parametrize(("text", "seconds"), [("PT05M53.00S", 353), ("PT00M36.40S", 36.4), ("PT12M00.00S", 720)])
def test_the_feeds_clock_forms_are_read(text: str, seconds: float) -> None:
    assert parse_clock(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5:53", "PT05M63.00S", "PT-1M00.00S", "PT05M53S ", "pt05m53.00s"])
def test_what_is_no_clock_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ClockError, match="clock"):
        parse_clock(text)


@pytest.mark.parametrize(("period", "left"), [(1, 721), (5, 301), (2, -1)])
def test_a_clock_longer_than_its_period_is_refused(period: int, left: float) -> None:
    with pytest.raises(ClockError):
        elapsed_s(period, left)


def test_period_zero_does_not_exist() -> None:
    with pytest.raises(ClockError, match="periods start at 1"):
        elapsed_s(0, 10)


@given(st.integers(0, 7200))
def test_a_formatted_clock_reads_back(tenths: int) -> None:
    assert parse_clock(format_clock(tenths / 10)) == pytest.approx(tenths / 10)
