"""What people are told, in the form that each way to them wants."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from routing.alerts import AlertKind, Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

_SLACK_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Source: Slack's docs, *Formatting text for app surfaces*: these three, and no others."""

_MARK: Final[Mapping[Phase, str]] = {
    Phase.RAISED: "trouble",
    Phase.REPEATED: "still",
    Phase.OVER: "over",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One alert; no content of a request, no credential."""

    kind: AlertKind
    subject: str
    phase: Phase
    text: str
    """A line for people."""
    host: str
    """The machine that tells."""
    at_s: float
    """Unix time."""
    since_s: float
    """Unix time of the beginning."""
    times: int = 1
    """Notices since it was told last."""

    @property
    def title(self) -> str:
        """One line: `[trouble] ccproxy on HOST: TEXT`."""
        return f"[{_MARK[self.phase]}] ccproxy on {self.host}: {_one_line(self.text)}"

    @property
    def details(self) -> str:
        """What stands under the title."""
        lines = [
            f"kind: {self.kind}",
            f"subject: {_one_line(self.subject)}",
            f"since: {_iso(self.since_s)}",
            f"told: {_iso(self.at_s)}",
        ]
        if self.times > 1:
            lines.append(f"seen {self.times} times since it was told last")
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """Return `{"source": "ccproxy", "kind", "subject", "phase", "text", "host", "at", ...}`."""
        values = asdict(self)
        at_s, since_s = values.pop("at_s"), values.pop("since_s")
        return {"source": "ccproxy", **values, "at": _iso(at_s), "since": _iso(since_s)}

    def as_slack(self) -> dict[str, object]:
        """Return `{"text"}`, which Slack, Mattermost, Rocket.Chat and Zulip take."""
        return {"text": f"{self.title}\n{self.details}".translate(_SLACK_ESCAPES)}


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _one_line(text: str) -> str:
    """Return text without what would begin a header or a line of its own."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
