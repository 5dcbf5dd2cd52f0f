"""What `ccproxy init` writes, for every size of machine."""

import json
import os

import pytest

from ccproxy.cli.checking import check_configuration
from ccproxy.config.problems import ConfigError
from ccproxy.setup.arithmetic import KvCacheType, Runner, model_memory_gib
from ccproxy.setup.choice import LEAST_CONTEXT_TOKENS, RAM_PROFILES_GIB, ram_profile_gib
from ccproxy.setup.installation import Wanted, installation_files, make_plan
from ccproxy.setup.plan import ProfileName
from ccproxy.setup.recipes import load_recipes
from ccproxy.setup.wishes import Role
from ccproxy.setup.writing import Became, write_files
from routing.fit import size_gib
from routing.types import Privacy

KEY = {"ANTHROPIC_API_KEY": "sk-test"}


def installed(folder, ram_gib, *, kv=KvCacheType.F16, environ=KEY, **wanted):
    """Return the plan, and what a check of the written files found."""
    plan = make_plan(Wanted(folder, ram_gib, Runner(kv), **wanted))
    write_files(folder, installation_files(plan))
    return plan, check_configuration(folder / "ccproxy.yaml", {**os.environ, **environ})


@pytest.mark.parametrize("ram_gib", [*RAM_PROFILES_GIB, 128])
def test_every_size_of_machine(ram_gib, tmp_path):
    """The files load and lint clean, and everything they name stays in memory together."""
    plan, found = installed(tmp_path, ram_gib)

    duplicates = [each for each in found.warnings if "the two are merged" in each.message]
    assert (found.errors, found.warnings) == ([], duplicates)
    assert found.table is not None
    assert found.settings is not None
    assert plan.choice.resident_gib <= model_memory_gib(ram_gib)
    local = [each for each in found.table.deployments.values() if each.num_ctx is not None]
    assert {each.name for each in local} == {model.role for model in plan.local}
    assert sum(size_gib(each) for each in local) <= found.table.memory_gib
    assert all(each.num_ctx >= LEAST_CONTEXT_TOKENS for each in local)


@pytest.mark.parametrize(
    ("ram_gib", "kv", "expected"),
    [
        (8, KvCacheType.F16, [("qwen-coder", "3b", 32768)]),
        (16, KvCacheType.F16, [("qwen-coder", "7b", 20480), ("qwen-fast", "3b", 20480)]),
        (24, KvCacheType.F16, [("qwen-coder", "7b", 32768), ("qwen-fast", "3b", 32768)]),
        (24, KvCacheType.Q8_0, [("qwen-coder", "14b", 24576), ("qwen-fast", "3b", 24576)]),
        (32, KvCacheType.F16, [("qwen-coder", "14b", 32768), ("qwen-fast", "3b", 32768)]),
        (32, KvCacheType.Q8_0, [("qwen-coder", "14b", 32768), ("qwen-fast", "7b", 32768)]),
        (48, KvCacheType.F16, [("qwen-coder", "32b", 32768), ("qwen-fast", "7b", 32768)]),
        (
            96,
            KvCacheType.F16,
            [("qwen-coder", "32b", 32768), ("qwen-quality", "32b", 32768), ("qwen-fast", "7b", 32768)],
        ),
    ],
)  # fmt: skip
def test_the_largest_that_fit(ram_gib, kv, expected, tmp_path):
    """The choice of each size of machine is stable."""
    plan = make_plan(Wanted(tmp_path, ram_gib, Runner(kv)))

    sizes = [
        (each.role, each.card.name.partition(":")[2].removesuffix("-instruct"), each.num_ctx)
        for each in plan.local
    ]
    assert sizes == expected


def test_parallel_contexts_cost_memory(tmp_path):
    """Two contexts at once take a second KV cache, so that less fits."""
    plan = make_plan(Wanted(tmp_path, 32, Runner(parallel=2)))

    assert plan.choice.resident_gib <= plan.choice.memory_gib
    assert plan.local[0].num_ctx < 32768 or "14b" not in plan.local[0].card.name


@pytest.mark.parametrize(
    ("wanted", "profiles", "active"),
    [
        ({"key_reference": None}, ["local-only"], ProfileName.LOCAL_ONLY),
        ({"memory_gib": 1.0}, ["claude-only"], ProfileName.CLAUDE_ONLY),
        ({"profile": ProfileName.MAX_SAVINGS}, list(ProfileName), ProfileName.MAX_SAVINGS),
        ({"profile": ProfileName.LOCAL_ONLY}, list(ProfileName), ProfileName.LOCAL_ONLY),
        ({"profile": ProfileName.CLAUDE_ONLY}, list(ProfileName), ProfileName.CLAUDE_ONLY),
    ],
)
def test_other_installations(wanted, profiles, active, tmp_path):
    """Without Claude, without room for a model, and with each profile the files lint clean too."""
    plan, found = installed(tmp_path, 96, **wanted)

    assert found.errors == []
    assert [each for each in found.warnings if "merged" not in each.message] == []
    assert found.table is not None
    assert list(found.table.profiles) == profiles
    assert found.table.active.name == plan.profile == active
    local_only = found.table.profiles.get("local-only")
    assert local_only is None or local_only.unknown.privacy is Privacy.LOCAL_ONLY


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"memory_gib": 1.0, "key_reference": None}, "--key-from"),
        ({"memory_gib": 1.0, "profile": ProfileName.BALANCED}, "claude-only"),
    ],
)
def test_what_cannot_be(wanted, said, tmp_path):
    """An installation that could serve nothing is refused, with what to do."""
    with pytest.raises(ConfigError, match=said):
        make_plan(Wanted(tmp_path, 16, Runner(), **wanted))


def test_wishes_are_followed_or_stood_in_for(tmp_path):
    """Every model that the roster wishes is a deployment's, or one is said to stand in for it."""
    small, _ = installed(tmp_path / "small", 32)
    large, _ = installed(tmp_path / "large", 96)

    assert small.choice.by_role(Role.GENERAL).stands_in_for == (
        "qwen2.5-coder:32b-instruct",
        "qwen2.5:32b-instruct",
    )
    assert [each.stands_in_for for each in large.local] == [(), (), ()]
    assert large.name_of(Role.GENERAL) == "qwen-quality"


@pytest.mark.parametrize(
    ("wished", "model", "stood_in_for"),
    [
        (["qwen-fast:latest"], "qwen-fast:latest", []),
        (["Qwen-Fast"], "Qwen-Fast", []),
        (["mistral:latest"], "qwen2.5-coder:3b-instruct", ["mistral:latest"]),
        (["tiny"], "qwen2.5-coder:3b-instruct", ["tiny"]),
        (["mistral", "qwen-fast"], "qwen-fast", ["mistral"]),
        (["qwen-7b"], "qwen2.5-coder:3b-instruct", ["qwen-7b"]),
        (["qwen-fast\nSYSTEM x"], "qwen2.5-coder:3b-instruct", ["qwen-fast\nSYSTEM x"]),
        (["qwen-fast one"], "qwen2.5-coder:3b-instruct", ["qwen-fast one"]),
        (["me/qwen-fast"], "qwen2.5-coder:3b-instruct", ["me/qwen-fast"]),
    ],
)
def test_only_a_name_that_is_nobodys_is_given(wished, model, stood_in_for, tmp_path):
    """Other wished models are stood in for, so that `models pull` makes nothing over a real one."""
    agents = [
        {"name": f"Typist {number}", "model": "haiku", "ccproxyMapping": {"ollama": wish}}
        for number, wish in enumerate(wished)
    ]
    roster = tmp_path / "mine.json"
    roster.write_text(json.dumps({"codingAgents": agents}))

    plan, found = installed(tmp_path / "here", 32, roster=roster)

    (fast,) = (each for each in plan.local if each.role is Role.FAST)
    (read,) = (each for each in found.settings.deployments if each.name == Role.FAST)
    assert (found.errors, found.warnings) == ([], [])
    assert (fast.model, read.upstream_model) == (model, model)
    assert list(read.stands_in_for) == stood_in_for
    made = [each.creates for each in load_recipes(tmp_path / "here")]
    assert made == ([model] if fast.needs_recipe else [])


def test_nothing_is_lost(tmp_path):
    """What was there is kept beside the new file; what would not change is left alone."""
    first = write_files(tmp_path, {"a.yaml": b"1", "sub/b": b"2"})
    second = write_files(tmp_path, {"a.yaml": b"one", "sub/b": b"2"})
    third = write_files(tmp_path, {"a.yaml": b"uno"})

    assert [each.became for each in first] == [Became.WRITTEN, Became.WRITTEN]
    assert [each.became for each in second] == [Became.REPLACED, Became.UNCHANGED]
    assert second[0].backup.read_bytes() == b"1"
    assert third[0].backup.read_bytes() == b"one"
    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "sub").stat().st_mode & 0o777 == 0o700


def test_what_is_no_file_is_neither_read_nor_replaced(tmp_path):
    """With a pipe in the place of one file, nothing is written, and nobody waits for its writer."""
    (tmp_path / "a.yaml").write_bytes(b"1")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "pipe")
    before = sorted(tmp_path.iterdir())

    with pytest.raises(OSError, match="no regular file"):
        write_files(tmp_path, {"a.yaml": b"one", "b.yaml": b"2"})

    assert (tmp_path / "a.yaml").read_bytes() == b"1"
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("reported_gib", "profile"), [(15.6, 16), (23.5, 24), (31.2, 32), (36, 32), (62.8, 64), (95.6, 96), (512, 96), (8, 16)]
)  # fmt: skip
def test_ram_profiles(reported_gib, profile):
    """A machine has the profile of the largest size that it reaches; some memory is never reported."""
    assert ram_profile_gib(reported_gib) == profile
