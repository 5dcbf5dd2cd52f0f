import pytest

from ccproxy.health.ollama_version import version_warning


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("0.33.0", None),
        ("0.33.0-rc2", None),
        ("0.12.6", None),
        ("v0.13.0", None),
        ("1.0.0", None),
        ("0.12.5", "does not know `truncate` and `shift`"),
        ("0.9.12", "does not know `truncate` and `shift`"),
        ("0.0.0", "does not say what it can do"),
        ("main", "does not say what it can do"),
    ],
)
def test_old_versions_may_cut_a_prompt(version, says):
    """Ollama knows `truncate` and `shift` since 0.12.6; whoever may not is warned of (199, 240)."""
    warning = version_warning(version)

    assert (warning is None) is (says is None)
    if says is not None:
        assert says in warning
        assert "0.12.6" in warning
