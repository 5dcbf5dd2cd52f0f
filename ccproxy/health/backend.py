"""What a local backend can be asked for free, as the monitor needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccproxy.ports import ModelFacts


class PulledModel(Protocol):
    """One model that a backend has on disk."""

    @property
    def name(self) -> str:
        """With its tag."""
        ...

    @property
    def digest(self) -> str:
        """Changes when the model does."""
        ...

    @property
    def remote(self) -> bool:
        """True for a stub whose inference runs on somebody else's machine."""
        ...

    @property
    def size_bytes(self) -> int | None:
        """Of the weights, on disk; None where it isn't said."""
        ...


class LoadedModel(Protocol):
    """One model that a backend has in memory."""

    @property
    def name(self) -> str:
        """With its tag."""
        ...

    @property
    def size_bytes(self) -> int:
        """Of weights and KV cache."""
        ...

    @property
    def size_vram_bytes(self) -> int:
        """The part of it that the GPU holds; the CPU computes the rest."""
        ...

    @property
    def context_tokens(self) -> int | None:
        """The context it is loaded with; None where it isn't said."""
        ...

    @property
    def expires_at(self) -> str:
        """When it is unloaded if nobody asks for it, RFC 3339."""
        ...


class BackendControl(Protocol):
    """What can be asked of a backend for free; every method may raise anything."""

    async def version(self) -> str:
        """Return the backend's version."""
        ...

    async def models(self) -> Sequence[PulledModel]:
        """Return what is pulled."""
        ...

    async def show(self, model: str) -> ModelFacts:
        """Return what is known of one model without loading it."""
        ...

    async def resident(self) -> Sequence[LoadedModel]:
        """Return what is loaded."""
        ...
