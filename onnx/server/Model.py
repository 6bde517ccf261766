"""Serves ONNX models with onnxruntime."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import onnx_environment  # noqa: F401  before onnxruntime, which reads it once
import onnxruntime
from onnx_file import Outline, outline
from onnx_graph import Graph
from onnx_image_size import image_size
from onnx_session import Settings, is_made_for_cuda, open_session
from seldon_core.user_model import SeldonNotImplementedError

from prepackaged import Artifact, ModelFiles, TensorComponent
from prepackaged.parameters import listed


class Model(TensorComponent):
    """A Model that runs an ONNX graph.

    `outputs` is a comma-separated list of the outputs to return; the default is all. `Settings`
    documents the parameters from `providers` on, `TensorComponent` the others.
    """

    platform = "onnx"
    callable_from_any_thread = True
    usual_layout = "NCHW"
    asks_framework_about_sizes = True
    files = ModelFiles(
        names=("model.onnx",), suffixes=(".onnx", ".ort"), flavor="onnx", flavor_key="data"
    )

    def __init__(
        self,
        model_uri: str | None = None,
        model_file: str | None = None,
        device: str | None = None,
        outputs: str | None = None,
        providers: str | None = None,
        graph_optimization_level: str | None = None,
        execution_mode: str | None = None,
        intra_op_num_threads: str | int | None = None,
        inter_op_num_threads: str | int | None = None,
        **image_parameters: Any,
    ) -> None:
        super().__init__(model_uri, model_file, device, **image_parameters)
        self.outputs = listed(outputs)
        self.settings = Settings(
            device, providers, graph_optimization_level, execution_mode,
            intra_op_num_threads, inter_op_num_threads,
        )  # fmt: skip
        if not is_made_for_cuda():  # CUDA does not survive the microservice's fork
            self.load()  # before the microservice opens its port

    def load(self) -> None:
        """Load the model once, and open its session in each process."""
        super().load()
        self.graph.open()

    def load_model(self, artifact: Artifact | None) -> None:
        """Open the graph, read its inputs and outputs, and make a trial run.

        Raises `DeploymentError` for a model that this onnxruntime cannot run, and for inputs or
        outputs that no request or response can hold.
        """
        assert artifact is not None  # because this class sets `files`
        self.outline: Outline | None = None
        if not artifact.name.endswith(".ort"):  # onnxruntime's own format
            with artifact.reading():
                self.outline = outline(artifact.path)
        session = partial(open_session, artifact, self.outline, self.settings)
        told = (self.outline.unranked, self.outline.states) if self.outline else ()
        self.graph = Graph(session, self.outputs, *told)
        self.graph.try_out()
        categories = self.outline.categories if self.outline else ()
        self.signature = self.graph.signature(categories)
        if size := image_size(self.graph.session.get_modelmeta().custom_metadata_map):
            self.preprocessing.use_size(size, self._needed())
        self.whole_outputs = self.graph.whole_outputs()
        self.batchable = self.stacks() and not self.graph.is_run_row_by_row
        self.custom = self._custom()

    def predict(
        self, X: Any, feature_names: Iterable[str] | None = None, meta: dict[str, Any] | None = None
    ) -> Any:
        """Run the graph: an array for a single output, a dict of lists by name for several.

        `X` is as for `TensorComponent.tensors`. Raises `ClientError` for data that does not fit
        the graph, `ModelError` if it fails.
        """
        return self.answer(self.graph, X, feature_names)

    def class_names(self) -> Iterable[str]:
        """The classes of a single output that has a score for each.

        Raises `SeldonNotImplementedError` if the graph does not list classes.
        """
        if len(self.graph.outputs) == 1 and self.graph.labels:
            return self.graph.labels[self.graph.outputs[0].name]
        raise SeldonNotImplementedError("this model has no class names")

    def _custom(self) -> dict[str, str]:
        """Facts for the metadata: classes, versions, providers and the file's metadata_props."""
        meta = self.graph.session.get_modelmeta()
        classes = {f"classes of {name}": each for name, each in self.graph.labels.items()}
        custom = {
            **meta.custom_metadata_map,
            **{name: ", ".join(each) for name, each in classes.items()},
            "onnxruntime": onnxruntime.__version__,
            "providers": ", ".join(self.graph.session.get_providers()),
            "producer": self.outline.producer if self.outline else meta.producer_name,
        }
        if self.outline:
            custom |= {"opset": self.outline.opset(), "ir_version": str(self.outline.ir_version)}
        return custom
