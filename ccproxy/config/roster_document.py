"""The roster file as JSON, with every way in which it may not be one told to people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ccproxy.config.problems import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from pathlib import Path


def read_document(path: Path) -> tuple[str, object]:
    """Return the text of a file, and the JSON in it.

    Raises:
        ConfigError: It is missing, no UTF-8, or no JSON.
    """
    text = _read_text(path)
    return text, _parse_json(path, text)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        message = "this file is not UTF-8 text. Save it as UTF-8."
        raise ConfigError((ConfigProblem(str(path), 1, 1, "", message),)) from exc
    except OSError as exc:
        reason = exc.strerror or str(exc)
        message = f"cannot read the roster: {reason}. Name an orchestra-config.json that exists."
        raise ConfigError((ConfigProblem.of_file(str(path), message),)) from exc


def _parse_json(path: Path, text: str) -> object:
    try:
        document: object = json.loads(text)
    except json.JSONDecodeError as exc:
        message = f"not JSON: {exc.msg}. Mend the file at this place."
        problem = ConfigProblem(str(path), exc.lineno, exc.colno, "", message)
        raise ConfigError((problem,)) from exc
    except RecursionError as exc:
        problem = ConfigProblem(str(path), 1, 1, "", "nested too deeply to be a roster.")
        raise ConfigError((problem,)) from exc
    return document
