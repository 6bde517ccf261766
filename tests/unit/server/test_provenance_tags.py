from typing import Any

from prepackaged import Component
from prepackaged.server.inference.hooks import Hooks
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.provenance import tag_answers


class Plain(Component):
    """A model without tags."""

    platform = "mine"

    def predict(self, X: Any, feature_names: Any = None, meta: Any = None) -> Any:
        return X


class Tagged(Plain):
    """A model with tags, one of which the server sets too."""

    def tags(self) -> dict[str, Any]:
        return {"mood": "fine", "image": "my own"}


def tags_of(model: Component) -> dict[str, Any]:
    """Return a prediction's tags when the provenance tags are on."""
    model.custom = {"mine": "1.0"}
    tag_answers(model, Config("Model", {}, image="mine:1"))
    return Hooks(model).finish([1]).tags


def test_predictions_have_tags_with_known_facts_of_their_model() -> None:
    """The tags say what is known of the model; unknown parts, such as a digest, are omitted."""
    assert tags_of(Plain()) == {"framework": "mine 1.0", "image": "mine:1"}


def test_the_model_s_own_tags_take_precedence() -> None:
    """The model's own tags override the server's."""
    assert tags_of(Tagged()) == {"framework": "mine 1.0", "image": "my own", "mood": "fine"}


def test_without_the_setting_a_model_gets_no_hook() -> None:
    """Without the setting, the model gets no hook that would be called for each response."""
    assert not Hooks(Plain()).are_beside_predict
