"""What a model takes, and which of them Ollama keeps loaded together."""

import pytest

from ccproxy.setup.arithmetic import KvCacheType, Load, Runner, load_of, stay_together
from ccproxy.setup.catalogue import CATALOGUE


@pytest.mark.parametrize(
    ("sizes_gib", "room_gib", "together"),
    [
        ([], 0, True),
        ([10], 10, True),  # alone it may take everything
        ([10.1], 10, False),
        ([10, 2.8], 15, True),  # 0.8 x (15 - 10 - 1.5)
        ([2.8, 10], 15, True),
        ([10, 2.9], 15, False),
        ([10, 2, 1], 17, True),
        ([10, 2, 1], 16, True),  # 0.8 x (16 - 12 - 1.5) = 2
        ([10, 2, 1], 14.7, False),
    ],
)
def test_what_stays_loaded(sizes_gib, room_gib, together):
    """Beside another a model needs a quarter more than its size, and what is always left free."""
    loads = [Load(size, size) for size in sizes_gib]

    assert together is stay_together(loads, room_gib)


def test_ollama_reckons_with_f16_whatever_is_set():
    """A smaller cache makes room for others, and needs no less of it before it is loaded."""
    card = CATALOGUE["qwen2.5-coder:14b-instruct"]
    exact = load_of(card, 32768, Runner())
    small = load_of(card, 32768, Runner(kv_cache=KvCacheType.Q8_0))

    assert small.resident_gib < exact.resident_gib
    assert small.predicted_gib == exact.predicted_gib == pytest.approx(8.37 + 6.0, abs=0.01)


def test_every_context_takes_its_own_cache():
    """Two at once need twice the KV cache."""
    card = CATALOGUE["qwen2.5-coder:7b-instruct"]
    one, two = (load_of(card, 20480, Runner(parallel=each)) for each in (1, 2))

    assert two.predicted_gib - one.predicted_gib == pytest.approx(20480 * 56 / 2**20)
