"""Replaces `torchvision.extension` if our operators replace its compiled part.

These are functions, not lambdas, because `torch.jit.script` compiles them with the models.
"""


def _load_library(lib_name: str) -> bool:  # noqa: ARG001  torchvision's own signature
    """Load nothing: Pillow reads PNG and JPEG."""
    return False


def _has_ops() -> bool:
    return True


def _assert_has_ops() -> None:
    return None


def _check_cuda_version() -> int:
    """Return -1, as the compiled part does if it is built without CUDA."""
    return -1
