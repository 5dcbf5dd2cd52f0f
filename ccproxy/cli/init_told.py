"""What `ccproxy init` says of what it has done."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ccproxy.cli.output import print_table, remark
from ccproxy.config.locate import find_config
from ccproxy.config.problems import ConfigError
from ccproxy.config.secrets import Secrets
from ccproxy.setup.arithmetic import BYTES_PER_GIB, Runner
from ccproxy.setup.ollama_environment import KV_CACHE_TYPE, NUM_PARALLEL
from ccproxy.setup.plan import DEFAULT_KEY, FILE_KEY, KEY_VARIABLE
from ccproxy.setup.recipes import is_made_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ccproxy.setup.choice import ChosenModel
    from ccproxy.setup.ollama_environment import OllamaEnvironment
    from ccproxy.setup.plan import SetupPlan
    from ccproxy.setup.sight import OllamaSight
    from ccproxy.setup.writing import Written


class MadeToken(NamedTuple):
    """A token that was made; it cannot be read again."""

    name: str
    token: str
    scopes: tuple[str, ...]


def result(
    plan: SetupPlan,
    written: Sequence[Written],
    sight: OllamaSight,
    tokens: Sequence[MadeToken],
) -> dict[str, object]:
    """Return everything for programs; `tokens` are those that were made."""
    return {
        "ram_profile_gib": plan.ram_profile_gib,
        "memory_gib": round(plan.choice.memory_gib, 2),
        "resident_gib": round(plan.choice.resident_gib, 2),
        "kv_cache": plan.choice.runner.kv_cache,
        "parallel": plan.choice.runner.parallel,
        "profile": plan.profile,
        "files": [
            {
                "path": str(each.path),
                "became": each.became,
                "backup": None if each.backup is None else str(each.backup),
            }
            for each in written
        ],
        "models": [
            {
                "deployment": each.role,
                "model": each.model,
                "made_of": each.card.name,
                "num_ctx": each.num_ctx,
                "resident_gib": round(each.resident_gib, 2),
                "stands_in_for": list(each.stands_in_for),
                "present": sight.find(each.model) is not None if sight.answers else None,
            }
            for each in plan.local
        ],
        "tokens": tokens_told(tokens),
    }


def tokens_told(tokens: Sequence[MadeToken]) -> list[dict[str, object]]:
    """Return the tokens that were made, JSON-ready."""
    return [
        {"name": each.name, "token": each.token, "scopes": list(each.scopes)} for each in tokens
    ]


def tell(
    plan: SetupPlan,
    written: Sequence[Written],
    sight: OllamaSight,
    environment: OllamaEnvironment,
) -> None:
    """Say which files there are, and which models were chosen."""
    for each in written:
        kept = "" if each.backup is None else f" (before: {each.backup.name})"
        remark(f"{each.became}: {each.path}{kept}")
    choice = plan.choice
    remark(
        "",
        f"Models can have {choice.memory_gib:.1f} GiB here; these take "
        f"{choice.resident_gib:.1f} GiB together:",
    )
    if plan.local:
        print_table(
            ("deployment", "model", "made of", "context", "memory", "in Ollama"),
            [
                (
                    each.role,
                    each.model,
                    each.card.name if each.needs_recipe else "",
                    f"{each.num_ctx:,}",
                    f"{each.resident_gib:.1f} GiB",
                    _presence(sight, each),
                )
                for each in plan.local
            ],
            spare=("made of",),
        )
    if not sight.answers:
        remark(f"note: {sight.problem}")
    remark(*_settings_notes(plan.choice.runner, environment))


def _settings_notes(runner: Runner, environment: OllamaEnvironment) -> Iterator[str]:
    """Yield which of Ollama's settings were taken over, and which are others than reckoned with."""
    if not environment.is_seen:
        return
    if environment.flash_attention is not True:
        yield "note: Ollama runs without OLLAMA_FLASH_ATTENTION=1, which this is reckoned with"
    seen, usual, where = environment.runner(), Runner(), environment.source
    for name, used, found, default in (
        (KV_CACHE_TYPE, runner.kv_cache, seen.kv_cache, usual.kv_cache),
        (NUM_PARALLEL, runner.parallel, seen.parallel, usual.parallel),
    ):
        if used != found:
            yield f"note: reckoned with {name}={used}, but Ollama has {found} ({where})"
        elif used != default:
            yield f"note: reckoned with {name}={used}, as Ollama has it ({where})"
    if runner.kv_cache == seen.kv_cache != usual.kv_cache:
        fix = environment.to_set(KV_CACHE_TYPE, usual.kv_cache)
        yield f"  qwen2.5 is sensitive to that (docs/models.md); for {usual.kv_cache}: {fix}"


def _presence(sight: OllamaSight, model: ChosenModel) -> str:
    if not sight.answers:
        return "?"
    if sight.find(model.model) is None:
        return "to be pulled"
    return "of another base" if _is_of_another(sight, model) else "yes"


def _is_of_another(sight: OllamaSight, model: ChosenModel) -> bool:
    """Return whether a recipe's model is there that was made of another one."""
    found = sight.find(model.model)
    size_bytes = None if found is None else found.size_bytes
    base_bytes = model.card.weights_gib * BYTES_PER_GIB
    return model.needs_recipe and is_made_of(size_bytes, base_bytes) is False


def next_steps(plan: SetupPlan, folder: Path, sight: OllamaSight, again: str) -> None:
    """Say what to run now.

    Args:
        plan: What was written.
        folder: Where to.
        sight: Of its Ollama.
        again: The command that writes the same over this one.
    """
    config = folder / "ccproxy.yaml"
    option = "" if _is_found(config) else f" --config {shlex.quote(str(config))}"
    missing = any(sight.find(each.model) is None for each in plan.local)
    steps = [f"ccproxy models pull{option}"] if missing else []
    others = [each.role.value for each in plan.local if _is_of_another(sight, each)]
    if others:
        steps.append(f"ccproxy models pull {' '.join(others)} --all{option}")
    key = plan.key_reference
    is_storable = key is not None and key != DEFAULT_KEY
    if is_storable and Secrets(os.environ, folder).look((), key or "").problem is not None:
        steps.append(f"ccproxy secret set {shlex.quote(key or '')}{option}")
    steps += [f"ccproxy doctor{option}", f"ccproxy service install{option}"]
    remark("", "Next:", *(f"  {step}" for step in steps))
    if key == DEFAULT_KEY:
        note = f"note: a service does not see your shell's {KEY_VARIABLE}; for one:"
        remark(
            "", note, f"  {again} --key-from {FILE_KEY}", f"  ccproxy secret set {FILE_KEY}{option}"
        )


def tell_tokens(tokens: Sequence[MadeToken]) -> None:
    """Print the tokens that were made, one a line, and say whom each is for."""
    if not tokens:
        return
    remark("", "Tokens, shown this once:")
    width = max(len(each.name) for each in tokens)
    for each in tokens:
        print(f"{each.name:{width}}  {each.token}")
    for each in tokens:
        if each.scopes:
            use = "is for you: also the dashboard, /metrics and /admin. Give it to no agent."
        else:
            use = "is for the agents: /v1 alone."
        remark(f"{each.name} {use}")


def _is_found(config: Path) -> bool:
    """Return whether commands find the file without being told, as this one was started."""
    try:
        found = find_config(None, os.environ, Path.cwd(), Path.home())
    except ConfigError:
        return False
    return found == config
