"""Names of tools as models write them."""

from __future__ import annotations

import pytest

from ccproxy.wire.tool_names import folded, offered_name


@pytest.mark.parametrize(
    ("name", "offered", "meant"),
    [
        ("get_weather", ("get_weather", "GetWeather"), "get_weather"),
        ("get-weather", ("get_weather", "Bash"), "get_weather"),
        ("Get Weather", ("get_weather", "Bash"), "get_weather"),
        ("functions.get_weather", ("get_weather",), None),
        ("bash", ("Bash", "Read"), "Bash"),
        ("bash", ("Bash", "BASH"), None),
        ("Bash2", ("Bash",), None),
        ("Bas", ("Bash",), None),
        ("", ("Bash",), None),
        ("__", ("_",), None),
        ("_", ("_",), "_"),
        ("bash", (), None),
        ("Tas\N{KELVIN SIGN}", ("Task",), None),
        ("I\N{COMBINING DOT ABOVE}nit", ("init",), None),
        ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}nit", ("i\N{COMBINING DOT ABOVE}nit",), None),
        ("Stra\N{LATIN SMALL LETTER SHARP S}e", ("Strae",), None),
    ],
)
def test_an_offered_name_is_meant_but_for_ascii_case_and_punctuation(name, offered, meant):
    """Another spelling means one offered tool or none; letters beyond ASCII are as they are."""
    assert offered_name(name, offered) == meant


def test_a_folded_name_is_lower_case_without_punctuation():
    """ASCII letters are lower case, and of the rest of ASCII the digits are left."""
    assert folded("mcp__Jira-2.create\tIssue") == "mcpjira2createissue"
    assert folded("\N{CYRILLIC CAPITAL LETTER A}\N{KELVIN SIGN}") == "\u0410\u212a"
