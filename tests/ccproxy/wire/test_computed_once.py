"""Attributes that are computed when they are first asked for."""

from ccproxy.wire.computed_once import computed_once


class Answer:
    def __init__(self, value: int) -> None:
        self.value = value
        self.looks = 0

    @computed_once
    def doubled(self) -> int:
        """Twice the value."""
        self.looks += 1
        return 2 * self.value


def test_each_object_computes_its_own_once() -> None:
    """Nothing is computed before it is asked for, and nothing twice."""
    one, other = Answer(1), Answer(2)

    assert (one.looks, vars(one).get("doubled")) == (0, None)
    assert (one.doubled, one.doubled, other.doubled) == (2, 2, 4)
    assert (one.looks, other.looks) == (1, 1)
    assert vars(one)["doubled"] == 2
