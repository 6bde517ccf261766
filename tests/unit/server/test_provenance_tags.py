from typing import Any

from prepackaged import Component
from prepackaged.server.inference.hooks import Hooks
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.provenance import tag_answers


class Plain(Component):
    """Has no tags of its own."""

    platform = "mine"

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        return X


class Tagged(Plain):
    """Has tags, of which one is also the server's."""

    def tags(self) -> dict[str, Any]:
        return {"mood": "fine", "image": "my own"}


def tags_of(model: Component) -> dict[str, Any]:
    """The tags of an answer, once they say where it is from."""
    model.custom = {"mine": "1.0"}
    tag_answers(model, Config("Model", {}, image="mine:1"))
    return Hooks(model).finish([1]).tags


def test_answers_have_what_is_known_of_their_model() -> None:
    """What nobody knows is left out, as is the digest of a model without a file."""
    assert tags_of(Plain()) == {"framework": "mine 1.0", "image": "mine:1"}


def test_tags_of_the_model_win() -> None:
    """They are its author's word."""
    assert tags_of(Tagged()) == {"framework": "mine 1.0", "image": "my own", "mood": "fine"}


def test_a_model_is_not_touched_without_the_setting() -> None:
    """Answers take no call of a hook then."""
    assert not Hooks(Plain()).are_beside_predict
