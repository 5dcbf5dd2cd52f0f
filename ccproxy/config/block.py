"""What every block of `ccproxy.yaml` is made of: the base class, and kinds of values."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _not_bool(value: object) -> object:
    """Refuse true and false where a number is wanted; pydantic would read them as 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 -- pydantic collects ValueError only
    return value


NotBool = BeforeValidator(_not_bool)
"""For numbers with a range of their own."""
PositiveInt = Annotated[int, NotBool, Field(gt=0)]
PositiveNumber = Annotated[float, NotBool, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[int, NotBool, Field(ge=0, le=65535)]
Text = Annotated[str, Field(min_length=1)]


class Block(BaseModel):
    """A map of the file in which every key is ours."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )
