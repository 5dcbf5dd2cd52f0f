"""The routing table and roster in force, replaced whole when their files change.

Rules:
1. What is loaded is checked as a whole before anything of it counts; a bad edit changes nothing.
2. A swap is one assignment: a request that took the old pair keeps it, the next one gets the new.
3. Nothing here blocks the event loop: files are looked at and read in threads.
4. A file is read once it has lain still for a moment, and read again before it is called bad:
   half of a file must neither count nor alarm anybody.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Final

from ccproxy.config.file_looks import look_at
from ccproxy.config.problems import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccproxy.config.file_looks import Look
    from ccproxy.config.loading import Loaded
    from ccproxy.config.versions import VersionStore

POLL_S: Final = 1.0
"""Between two looks at the files. With the pauses below an edit is in force within 2 s."""
STILL_S: Final = 0.3
"""How long a changed file must lie still before it is read."""
RETRY_S: Final = 1.0
"""After this a file that could not be loaded is tried once more, before it is reported."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """What a reload came to. With problems nothing has changed."""

    changed: bool
    version: str
    """In force now."""
    table_version: str
    problems: tuple[ConfigProblem, ...] = ()
    warnings: tuple[ConfigProblem, ...] = ()
    """Of what is in force now."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An edit that did not come into force, and has not been mended yet."""

    at: float
    """Unix time, seconds."""
    problems: tuple[ConfigProblem, ...]


class LiveRouting:
    """Holds what is in force; implements `pipeline.router.RoutingSource`."""

    def __init__(
        self,
        load: Callable[[], Loaded],
        *,
        versions: VersionStore | None = None,
        report: Callable[[str], None] = _log.warning,
        count: Callable[[str], None] = lambda _end: None,
        poll_s: float = POLL_S,
        still_s: float = STILL_S,
        retry_s: float = RETRY_S,
    ) -> None:
        """Load for the first time, in this thread.

        Args:
            load: Reads everything anew; raises `ConfigError` with all problems.
            versions: Where good versions are kept; None keeps none.
            report: Gets a line for every reload that changed or refused something.
            count: Gets `changed`, `unchanged` or `rejected` for every reload, and
                `version_not_kept` where a good version could not be written to its folder.
            poll_s: Between two looks at the files.
            still_s: How long a changed file must lie still.
            retry_s: Between the two tries of a file that cannot be loaded.

        Raises:
            ConfigError: There is nothing to serve by.
        """
        self._load = load
        self._versions = versions
        self._report = report
        self._count = count
        self._poll_s = poll_s
        self._still_s = still_s
        self._retry_s = retry_s
        self._loaded = load()
        self._rejected: Rejected | None = None
        self._looks: Mapping[Path, Look] = self._loaded.looks
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[ReloadResult] | None = None
        self._tasks: set[asyncio.Task[ReloadResult]] = set()

    @property
    def loaded(self) -> Loaded:
        """What is in force, with everything that is known of it."""
        return self._loaded

    @property
    def rejected(self) -> Rejected | None:
        """The bad edit that lies in the files now, or None."""
        return self._rejected

    def status(self) -> dict[str, object]:
        """Return what `/health` shows, JSON-ready; `rejected` is None or says when and why."""
        loaded, rejected = self._loaded, self._rejected
        return {
            "version": loaded.version,
            "table_version": loaded.table.version,
            "loaded_at": loaded.loaded_at,
            "warnings": [str(warning) for warning in loaded.warnings],
            "rejected": rejected
            and {"at": rejected.at, "problems": [str(each) for each in rejected.problems]},
        }

    async def reload(self) -> ReloadResult:
        """Load everything anew and put it in force if it is good.

        Whoever asks while a reload runs waits for the next one, which they share: it reads the
        files after they asked. Never raises for what is wrong with the files.
        """
        return await asyncio.shield(self.reload_soon())

    def reload_soon(self) -> asyncio.Task[ReloadResult]:
        """Ask for a reload without waiting for it; to be called on the event loop."""
        if self._next is None:
            self._next = asyncio.create_task(self._in_turn(), name="reload")
            # The event loop itself does not keep tasks alive.
            self._tasks.add(self._next)
            self._next.add_done_callback(self._tasks.discard)
        return self._next

    async def watch(self) -> None:
        """Reload whenever a watched file changes, until cancelled; first keep what is in force."""
        await asyncio.to_thread(self._keep, self._loaded)
        while True:
            await asyncio.sleep(self._poll_s)
            if await self._look() == self._looks:
                continue
            await self._wait_until_still()
            async with self._turn:
                await self._swap(patient=True)

    async def _in_turn(self) -> ReloadResult:
        async with self._turn:
            self._next = None
            return await self._swap(patient=False)

    async def _swap(self, *, patient: bool) -> ReloadResult:
        """Load and put in force; a patient caller has a bad file tried twice."""
        found = await asyncio.to_thread(self._try)
        if patient and isinstance(found, tuple):
            await asyncio.sleep(self._retry_s)
            found = await asyncio.to_thread(self._try)
        if isinstance(found, tuple):
            self._reject(found)
            return self._result(changed=False, problems=found)
        changed = found.version != self._loaded.version
        mended = self._rejected is not None
        self._loaded, self._rejected = found, None
        self._count("changed" if changed else "unchanged")
        if changed or mended:
            self._report(
                f"routing version {found.version} is in force (table {found.table.version}, "
                f"{len(found.warnings)} warnings)"
            )
        await asyncio.to_thread(self._keep, found)
        return self._result(changed=changed)

    def _try(self) -> Loaded | tuple[ConfigProblem, ...]:
        """Return what was loaded, or every problem; runs in a thread, one at a time."""
        looks = look_at(self._looks)
        try:
            found = self._load()
        except ConfigError as error:
            problems = error.problems
        except Exception as error:  # noqa: BLE001 - a bug in a check must not end the watch
            _log.exception("the routing files could not be checked")
            problems = (ConfigProblem("routing", 1, 1, "", f"could not be checked: {error!r}"),)
        else:
            self._looks = found.looks
            return found
        # What a problem is about is watched too: mending it may be all that is needed.
        missing = {Path(problem.file) for problem in problems} - looks.keys()
        self._looks = {**looks, **look_at(missing)}
        return problems

    def _reject(self, problems: tuple[ConfigProblem, ...]) -> None:
        self._rejected = Rejected(time(), problems)
        self._count("rejected")
        lines = "\n".join(f"  {problem}" for problem in problems)
        self._report(
            f"routing edit rejected, version {self._loaded.version} stays in force:\n{lines}"
        )

    def _keep(self, loaded: Loaded) -> None:
        """Store a version that is in force; serving goes on where that fails."""
        if self._versions is None:
            return
        try:
            self._versions.save(
                loaded.version,
                loaded.table.version,
                loaded.routing_bytes,
                loaded.roster_bytes,
                loaded.loaded_at,
            )
        except OSError as error:
            self._count("version_not_kept")
            self._report(
                f"routing version {loaded.version} serves, but cannot be kept for a rollback: "
                f"{error.filename or self._versions.folder}: {error.strerror or error}"
            )

    def _result(self, *, changed: bool, problems: tuple[ConfigProblem, ...] = ()) -> ReloadResult:
        loaded = self._loaded
        return ReloadResult(
            changed, loaded.version, loaded.table.version, problems, loaded.warnings
        )

    async def _look(self) -> Mapping[Path, Look]:
        return await asyncio.to_thread(look_at, tuple(self._looks))

    async def _wait_until_still(self) -> None:
        last = await self._look()
        while True:
            await asyncio.sleep(self._still_s)
            now = await self._look()
            if now == last:
                return
            last = now
