"""Serves PyTorch modules."""

from collections.abc import Iterable
from typing import Any

import torch
from pytorch_calls import Network
from pytorch_compile import compiled
from pytorch_copies import copier
from pytorch_files import Wanted, read
from pytorch_look import look
from pytorch_threads import one_thread, use_configured_threads

from prepackaged import Artifact, ModelFiles, Signature, TensorComponent, choose_device
from prepackaged.allowed_imports import AllowedImports
from prepackaged.parameters import is_true


class Model(TensorComponent):
    """A Model that answers with the result of a PyTorch module's `forward`.

    `model_class` is the class that weights belong to, and `model_class_file` the Python file that
    defines it. `allow_pickle` is `true` to load pickles, which run code; `allowed_imports` lists
    what a pickle may import. If `strict` is `true`, names in the file and in the class must match
    exactly; if `false`, differences are only logged. `compile` is `true` or the name of a backend,
    for `torch.compile`. `TensorComponent` documents the other parameters.
    """

    platform = "pytorch"
    callable_from_any_thread = True
    usual_layout = "NCHW"
    files = ModelFiles(
        names=(
            "model.pt",
            "model.pth",
            "model.pt2",
            "model.safetensors",
            "model.safetensors.index.json",
            "model.ckpt",
        ),
        suffixes=(".pt", ".pth", ".pt2", ".safetensors", ".ckpt", ".jit"),
        flavor="pytorch",
        flavor_key="model_data",
    )

    def __init__(
        self,
        model_uri: str | None = None,
        model_file: str | None = None,
        model_class: str | None = None,
        model_class_file: str | None = None,
        allow_pickle: str | None = None,
        strict: str | None = None,
        allowed_imports: str | None = None,
        compile: str | None = None,  # noqa: A002  PyTorch's name for it
        **more: Any,
    ) -> None:
        super().__init__(model_uri, model_file, **more)
        allowed = is_true("allow_pickle", allow_pickle)
        is_strict = is_true("strict", strict) if strict else None
        imports = AllowedImports.of(allowed_imports)
        self.wanted = Wanted(
            model_class or None, model_class_file or None, allowed, is_strict, imports
        )
        self.compile = compile
        self.device = choose_device(
            self.device, [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        )
        use_configured_threads()
        if self.device == "cpu" and not compile:
            with one_thread():  # before the microservice opens its port or forks
                self.load()

    def load_model(self, artifact: Artifact | None) -> None:
        """Read the module, move it to the device and find its inputs and outputs.

        Raises `DeploymentError` for a file that cannot be loaded, or a module without inputs.
        """
        assert artifact is not None  # because this class sets `files`
        module, kind = read(artifact, self.wanted)
        fresh = copier(module, lambda: read(artifact, self.wanted)[0])
        found = look(module, fresh, str(self.device), self.compile)
        served = compiled(module, self.compile)
        self.network = Network(
            served, found.findings, str(self.device), found.others, found.settle, self._settled
        )
        self.takes_other_names = found.others is not None
        outputs, example = found.findings.outputs, found.findings.example
        signature = Signature(self.network.specs(), outputs, example=example)
        self.signature = signature.with_source("model")
        self._settled()
        self.custom = {"format": kind, "device": str(self.device), "torch": torch.__version__}
        if version := artifact.flavor.get("pytorch_version"):
            self.custom["saved_with"] = str(version)

    def predict(
        self, X: Any, feature_names: Iterable[str] | None = None, meta: dict[str, Any] | None = None
    ) -> Any:
        """Call `forward` with the request's tensors: an array, or several outputs by name.

        Raises `ClientError` for data that does not fit the module, `ModelError` if it fails.
        """
        return self.answer(self.network, X, feature_names)

    def _settled(self) -> None:
        """Let requests share calls if this is known to be safe, at the latest since a request."""
        self.batchable = self.stacks() and self.network.stacks()

    def _given(self, X: Any, feature_names: Iterable[str] | None) -> Any:
        given = super()._given(X, feature_names)
        return [(self.network.spec_for(spec, value), value) for spec, value in given]
