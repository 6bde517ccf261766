"""A Model with Seldon's base class and no method of its own."""

from seldon_core.user_model import SeldonComponent


class Bare(SeldonComponent):  # type: ignore[misc]
    """Has only the base class's hooks."""
