"""A Model that has Seldon's base class and nothing of its own."""

from seldon_core.user_model import SeldonComponent


class Bare(SeldonComponent):  # type: ignore[misc]
    """Leaves every hook to what its absence means."""
