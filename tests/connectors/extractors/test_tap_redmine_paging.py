"""tap-redmine's way through a list that people change while it is read, against any changes."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tap_redmine.paging import OffsetPaging, UpdatedOnPaging

THOROUGHLY = settings(max_examples=100, deadline=None, derandomize=True)
PAGE_SIZES = st.integers(2, 4)
A_CHANGE = st.tuples(st.sampled_from(["update", "delete", "delete", "insert"]), st.integers(0, 12))
CHANGES = st.lists(st.lists(A_CHANGE, max_size=4), max_size=12)
TENTHS = st.lists(st.integers(0, 40), max_size=20)


def second(tenths: int) -> str:
    """Write a time as Redmine does, which keeps fractions to itself."""
    seconds = tenths // 10
    return f"2026-01-31T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


def tenths(second: str) -> int:
    hours, minutes, seconds = second[11:19].split(":")
    return (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * 10


class Table:
    """A list as Redmine keeps it: when each row was updated, in tenths of a second."""

    def __init__(self, times: list[int]) -> None:
        self.rows = dict(enumerate(times))
        self.now = max(times, default=0) + 1
        self.next_id = len(times)

    def change(self, kind: str, number: int) -> None:
        if kind == "insert":
            self.rows[self.next_id] = self.now
            self.next_id += 1
        elif number in self.rows and kind == "update":
            self.rows[number] = self.now
        elif kind == "delete":
            self.rows.pop(number, None)

    def page(self, params: dict, *, by_time: bool) -> list[dict]:
        rows = list(self.rows.items())
        if by_time:
            since, until = params["updated_on"].removeprefix("><").split("|")
            # Redmine takes "from" as a second earlier, so that it includes it.
            rows = [row for row in rows if tenths(since) - 10 < row[1] <= tenths(until)]
            rows.sort(key=lambda row: (row[1], row[0]))
        page = rows[params["offset"] : params["offset"] + params["limit"]]
        return [{"id": number, "updated_on": second(at)} for number, at in page]


def read(table: Table, paging: OffsetPaging, changes: list, *, by_time: bool) -> list[dict]:
    rows = []
    left = iter(changes)
    while not paging.ended:
        rows += paging.take(table.page(paging.params, by_time=by_time), paging.params["limit"])
        for change in next(left, ()):
            table.change(*change)
        table.now += 3
    return rows


@THOROUGHLY
@given(TENTHS, PAGE_SIZES, CHANGES)
def test_by_time_no_row_is_lost_and_none_is_read_twice(times, page_size, changes):
    table = Table(times)
    paging = UpdatedOnPaging(page_size, second(0), second(90000))
    rows = read(table, paging, changes, by_time=True)
    seen = [(row["id"], row["updated_on"]) for row in rows]
    assert len(seen) == len(set(seen))
    last = max((at for _, at in seen), default="")
    left = {(number, second(at)) for number, at in table.rows.items()}
    assert {row for row in left if row[1] < last} <= set(seen)
    assert {number for number in range(len(times)) if number in table.rows} <= {
        number for number, _ in seen
    }


@THOROUGHLY
@given(st.integers(0, 12), PAGE_SIZES, CHANGES)
@example(6, 3, [[("delete", number) for number in range(4)]])
def test_in_a_fixed_order_no_row_is_lost_and_none_is_read_twice(size, page_size, changes):
    table = Table([0] * size)
    seen = [row["id"] for row in read(table, OffsetPaging(page_size), changes, by_time=False)]
    assert len(seen) == len(set(seen))
    assert {number for number in range(size) if number in table.rows} <= set(seen)


def test_a_list_without_pages_ends_with_the_first():
    paging = OffsetPaging(2)
    assert len(paging.take([{"id": number} for number in range(5)], None)) == 5
    assert paging.ended


def test_redmine_may_give_less_than_a_page():
    paging = OffsetPaging(100)
    assert len(paging.take([{"id": number} for number in range(25)], 25)) == 25
    assert (paging.ended, paging.params) == (False, {"offset": 24, "limit": 100})
