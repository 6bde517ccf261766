"""The model's health, for all protocols."""

from prepackaged.component import Component
from prepackaged.errors import NotReadyError
from prepackaged.server.inference.hooks import find_hook
from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.transport.exchange import Exchange


class ModelHealth:
    """The health of a loaded model; its author may override `health_status`."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        hook = find_hook(predictor.model, "health_status")
        is_ours = getattr(hook, "__func__", None) is Component.health_status
        self._hook = None if is_ours else hook  # Component's only says that the model is loaded

    async def check(self, exchange: Exchange) -> None:
        """Raise `NotReadyError` if a call hangs, or the error of the model's `health_status`."""
        if self._predictor.hangs:
            raise NotReadyError("a call to the model hangs")
        if self._hook:
            await self._predictor.health(self._hook, context=exchange)
