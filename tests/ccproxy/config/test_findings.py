"""Problems from pydantic, in the words of the file."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ccproxy.config.findings import BLOCKS, unused_keys, validation_problems
from ccproxy.config.models import Block, ConfigFile
from ccproxy.config.yaml_marks import parse_marked


def found(text: str) -> list[str]:
    """Return the problems of a document."""
    document = parse_marked(text.encode(), "f")
    with pytest.raises(ValidationError) as caught:
        ConfigFile.model_validate(document.value)
    return [str(problem) for problem in validation_problems(caught.value, document)]


def test_no_value_is_shown() -> None:
    """A message never repeats a value, which may be a secret in the wrong place."""
    text = "model_list: [{model_name: [s3cret], litellm_params: {model: a/b, api_key: [s3cret]}}]\n"
    assert len(found(text)) == 2
    assert "s3cret" not in str(found(text))


def test_every_block_of_the_file_is_known() -> None:
    """Each model of the file has its place, so that unknown keys get a hint everywhere."""
    blocks = set(BLOCKS.values())
    todo = [Block]
    subclasses = []
    while todo:
        children = todo.pop().__subclasses__()
        todo += children
        subclasses += children
    assert {each for each in subclasses if each.model_fields} == blocks


@pytest.mark.parametrize(
    "text", ["", "1", "model_list: 1", "model_list: [1]", "model_list: [{litellm_params: 1}]"]
)
def test_a_wrong_shape_has_no_unused_keys(text: str) -> None:
    """Looking for unused keys never stumbles over a broken file."""
    assert list(unused_keys(parse_marked(text.encode(), "f"))) == []
