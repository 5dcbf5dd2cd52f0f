"""Lines written by a thread of their own."""

import threading
import time

import pytest

from ccproxy.observability.line_writer import LineWriter
from ccproxy.observability.rotated_file import RotatedFile, read_lines
from tests.support.waiting import until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "lines"


@pytest.fixture
def reports():
    return []


@pytest.fixture
def writer(path, reports):
    file = RotatedFile(path, max_bytes=10_000, older=1)
    return LineWriter(file, report=reports.append, batch_s=0.01)


async def test_lines_are_written(writer, path):
    """What was put, before or after the start, is written in its order."""
    writer.put(b"before")
    writer.start()
    writer.put(b"after")
    await until(lambda: writer.written == 2)
    writer.close()

    assert list(read_lines(path)) == [b"before", b"after"]
    assert writer.dropped == 0


def test_closing_writes_what_waits(writer, path):
    """A stop loses nothing."""
    writer.start()
    for number in range(100):
        writer.put(b"%d" % number)
    writer.close()

    assert len(list(read_lines(path))) == writer.written == 100


def test_what_comes_after_the_end_is_counted(writer):
    """A closed writer drops, and says so."""
    writer.start()
    writer.close()
    writer.put(b"late")

    assert (writer.written, writer.dropped) == (0, 1)


class HangingDisk(RotatedFile):
    """Takes nothing until it is let go."""

    def __init__(self, path):
        super().__init__(path, max_bytes=10**6, older=1)
        self.asked, self.free = threading.Event(), threading.Event()

    def append(self, lines):
        self.asked.set()
        assert self.free.wait(10)
        super().append(lines)


def test_a_slow_disk_costs_lines_not_time(path, reports):
    """While the disk hangs nobody waits; what is too much is dropped and counted."""
    disk = HangingDisk(path)
    writer = LineWriter(disk, report=reports.append, waiting_limit_bytes=500, batch_s=0)
    writer.put(b"hang")
    writer.start()
    assert disk.asked.wait(10)
    began = time.perf_counter()
    for number in range(5000):
        writer.put(b"%04d" % number)
    took_s = time.perf_counter() - began
    disk.free.set()
    writer.close()

    assert took_s < 1
    assert (writer.written, writer.dropped) == (1 + 100, 5000 - 100)
    assert len(list(read_lines(path))) == 101


async def test_a_folder_that_cannot_be_written(writer, path, reports):
    """Lines are counted as lost and the trouble is told once; afterwards it goes on."""
    path.parent.write_text("in the way")
    writer.start()
    for number in range(3):
        writer.put(b"lost")
        await until(lambda: writer.dropped > number)  # noqa: B023 - awaited at once
    path.parent.unlink()
    writer.put(b"kept")
    await until(lambda: writer.written == 1)
    writer.close()

    assert list(read_lines(path)) == [b"kept"]
    assert writer.dropped == 3
    assert len(reports) == 2
    assert "lines are being lost" in reports[0]
    assert "3 lines were lost" in reports[1]


def test_an_end_without_a_start_is_no_trouble(writer):
    """A proxy that fails before it serves closes everything all the same."""
    writer.close()

    assert writer.written == 0
