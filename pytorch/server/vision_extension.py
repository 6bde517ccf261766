"""The replacement of `torchvision.extension`, if our operators replace its compiled part.

Functions of their own, not lambdas: `torch.jit.script` compiles them with the models.
"""


def _load_library(lib_name: str) -> bool:  # noqa: ARG001  torchvision's own signature
    """None is loaded: PNG and JPEG are read by Pillow."""
    return False


def _has_ops() -> bool:
    return True


def _assert_has_ops() -> None:
    return None


def _check_cuda_version() -> int:
    """What the compiled part answers where it is built without CUDA."""
    return -1
