"""A loaded model with its predictor and the protocols that serve it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from prepackaged.server.inference.engine import Submit
from prepackaged.server.inference.predictor import Predictor
from prepackaged.server.protocols.pages.protocol import Pages
from prepackaged.server.protocols.seldon.flask_compat import FlaskCompat, needs_flask
from prepackaged.server.protocols.seldon.methods import Unit
from prepackaged.server.protocols.seldon.protocol import seldon
from prepackaged.server.protocols.seldon.rest import PREDICTIONS
from prepackaged.server.protocols.v2.repository import Change
from prepackaged.server.runtime.config import Config
from prepackaged.server.runtime.protocols import of_platform, others
from prepackaged.server.telemetry.metrics import Metrics
from prepackaged.server.telemetry.tracing import Tracing
from prepackaged.server.transport.routing import WireProtocol

#: Creates an additional protocol for the model of a predictor.
MakeProtocol = Callable[[Predictor], WireProtocol]


@dataclass(frozen=True)
class Surroundings:
    """The objects that all models of a server share.

    `submit` runs functions on the model's thread, where its metadata was read. `another_hangs`
    returns whether a call to a replaced model hangs on that thread. `change` loads and unloads the
    model on a client's request. `more` creates additional protocols.
    """

    config: Config
    submit: Submit
    metrics: Metrics
    tracing: Tracing | None
    is_ending: Callable[[], bool]
    another_hangs: Callable[[], bool]
    change: Change | None
    more: Sequence[MakeProtocol] = ()


class ModelService:
    """One loaded model of a server. Create it on the event loop."""

    def __init__(self, model: Any, metadata: dict[str, Any] | None, around: Surroundings) -> None:
        config, self._around = around.config, around
        flask = FlaskCompat(model) if needs_flask(model) else None
        self.predictor = self._predictor(model, flask)
        first = seldon(
            self.predictor,
            metadata,
            Unit.of(config.unit_id, config.image),
            flask=flask,
            passes_payload=config.passes_payload,
            allows_origins=config.cors,
        )
        guests = [
            *others(self.predictor, config, around.is_ending, around.change),
            *(make(self.predictor) for make in around.more),
        ]
        self.protocols = [*of_platform(self.predictor, config), first, *guests]
        paths = {path: item for each in self.protocols for path, item in each.openapi.items()}
        self.pages = Pages(self.predictor, metadata or {}, config.image, PREDICTIONS[1], paths)
        if config.pages:
            place = self.protocols.index(first)  # before V1, which also has `/`
            self.protocols.insert(place, self.pages.protocol(first.http_failure))

    def _predictor(self, model: Any, flask: FlaskCompat | None) -> Predictor:
        config = self._around.config
        return Predictor(
            model,
            self._around.metrics,
            self._around.submit,
            max_waiting=config.max_waiting,
            max_wait=config.max_wait,
            max_rows=config.max_batch_rows,
            max_bytes=config.max_batch_bytes,
            longest_call=config.longest_call,
            around=[side.around for side in (flask, self._around.tracing) if side],
            may_batch=flask is None and config.batches,
            counts_drift=config.drift,
            another_hangs=self._around.another_hangs,
        )
