"""Records: dataclasses that are frozen for the type checker."""

from dataclasses import field, fields, replace

from routing.records import record


@record(frozen=True, slots=True)
class Point:
    """Something to compare."""

    x: int
    y: int = 2
    names: tuple[str, ...] = field(default=())


def test_equal_records_are_one_key():
    """They compare and hash by their fields, as frozen dataclasses do."""
    assert Point(1) == Point(1, 2, ())
    assert len({Point(1), Point(1), Point(1, 3)}) == 2
    assert replace(Point(1), y=5) == Point(1, 5)


def test_a_record_holds_its_fields_and_nothing_else():
    """A name that is mistyped is an error."""
    assert [each.name for each in fields(Point)] == ["x", "y", "names"]
    assert not hasattr(Point(1), "__dict__")
