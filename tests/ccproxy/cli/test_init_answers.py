"""What the options of `ccproxy init` come to."""

from dataclasses import replace
from pathlib import Path

import pytest

from ccproxy.cli.init_answers import Answers, KvCache, Profile
from ccproxy.setup.arithmetic import KvCacheType, Runner
from ccproxy.setup.machine import Machine

MINI = Machine("Darwin", "15.6", 32.0, 10, wired_limit_mib=26 * 1024)
"""Its operator gave the GPU 26 GiB."""
PROPOSED = Answers(Path(), MINI.ram_gib, "http://127.0.0.1:11434", None, "none")


@pytest.mark.parametrize(
    ("ram_gib", "memory_gib", "expected"),
    [(32.0, None, 26.0), (64.0, None, None), (32.0, 20.0, 20.0), (64.0, 40.0, 40.0)],
)
def test_a_limit_is_that_of_its_machine(ram_gib, memory_gib, expected, tmp_path):
    """What the GPU may have here says nothing about a machine of another size."""
    answers = replace(PROPOSED, folder=tmp_path, ram_gib=ram_gib, memory_gib=memory_gib)

    assert answers.wanted(MINI, Runner()).memory_gib == expected


@pytest.mark.parametrize(
    ("kv_cache", "parallel", "expected"),
    [(None, None, Runner(KvCacheType.Q8_0, parallel=2)), (KvCache.F16, 1, Runner())],
)
def test_settings_of_ollama_are_taken_over(kv_cache, parallel, expected, tmp_path):
    """Unless an option says otherwise; flash attention is reckoned with in any case."""
    seen = Runner(KvCacheType.Q8_0, flash_attention=False, parallel=2)
    answers = replace(PROPOSED, folder=tmp_path, kv_cache=kv_cache, parallel=parallel)

    assert answers.wanted(MINI, seen).runner == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("none", ["local-only"]),
        ("file/a.key", ["balanced", "max-savings", "claude-only", "local-only"]),
    ],
)
def test_profiles_fit_the_other_answers(key, expected, tmp_path):
    """Whatever profile an option asks for."""
    answers = replace(PROPOSED, folder=tmp_path, key=key, profile=Profile.CLAUDE_ONLY)

    assert list(answers.profiles(MINI, Runner())) == expected


def test_the_options_that_were_given(tmp_path, monkeypatch):
    """Those that say what is proposed anyway are left out; a shell takes the rest as they are."""
    monkeypatch.chdir(tmp_path)
    usual = Answers(tmp_path / "home", 31.3, "http://127.0.0.1:11434", None, "file/key")
    given = Answers(
        tmp_path / "my files",
        64.0,
        "mini:9",
        tmp_path / "it's.json",
        "os.environ/ANTHROPIC_API_KEY",
        Profile.LOCAL_ONLY,
        20.5,
        "https://gateway.example",
        KvCache.Q8_0,
        2,
        9191,
        "",
    )

    assert usual.options_beside(usual) == ""
    assert given.options_beside(usual) == (
        f" --dir '{tmp_path}/my files' --ram 64 --memory 20.5 --ollama mini:9"
        f""" --roster '{tmp_path}/it'"'"'s.json' --claude https://gateway.example"""
        " --profile local-only --kv-cache q8_0 --parallel 2 --port 9191 --token ''"
    )
