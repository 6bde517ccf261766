"""Find the weights in a file, and load them into a module."""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from prepackaged import DeploymentError

logger = logging.getLogger(__name__)

Weights = Mapping[str, Any]
# Keys under which training scripts store the weights in a checkpoint; the first that fits is used.
USUAL_KEYS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params",
)  # fmt: skip
# Floating-point entries that are not weights: counters of profilers, statistics that a layer no
# longer stores, tables that a layer computes itself.
BUFFERS = re.compile(
    r"(^|[._])(total_ops|total_params|running_mean|running_var|inv_freq|mask|masked_bias|pe)$"
)
COMPILED = "_orig_mod."  # torch.compile adds this to names


def fill(
    module: nn.Module, content: Weights, path: Path, owner: str, *, strict: bool | None
) -> None:
    """Load the weights in `content`, or in an entry of a checkpoint, into the module.

    With `strict` None, missing and unexpected weights raise `DeploymentError`; unexpected buffers
    and missing counters are logged. With True all of these raise, with False none. Weights of
    another shape always raise `DeploymentError`.
    """
    own = module.state_dict()
    key, weights = _fitting(content, own, path)
    where = f"the entry {key!r} of model file {path}" if key else f"model file {path}"
    try:
        keys = module.load_state_dict(weights, strict=False)
    except Exception as error:  # a weight of another shape; the message names it
        told = " ".join(str(error).split())[:500]
        raise DeploymentError(f"{where} does not fit {owner}: {told}") from error
    filled = {_place(own[name]) for name in own if name in weights} - {None}
    # safetensors saves tied weights under only one of their names.
    missing = [name for name in keys.missing_keys if _place(own[name]) not in filled]
    wrong = {"missing": missing, "unexpected": keys.unexpected_keys}
    minor = {
        "missing": [name for name in missing if _is_counter(own[name])],
        "unexpected": [name for name in keys.unexpected_keys if _is_buffer(name, weights[name])],
    }
    _tell(f"{where} does not fit {owner}", wrong, minor, strict=strict)


def _place(value: Any) -> int | None:
    """The address of a tensor's values; None without values, as for a layer's extra state."""
    has_values = isinstance(value, Tensor) and not nn.parameter.is_lazy(value)
    return value.data_ptr() if has_values else None


def _is_counter(value: Any) -> bool:
    return isinstance(value, Tensor) and not value.is_floating_point()


def _tell(
    what: str, wrong: dict[str, list[str]], minor: dict[str, list[str]], *, strict: bool | None
) -> None:  # fmt: skip
    ignored = {None: minor, True: {}, False: wrong}[strict]
    severe = {kind: [n for n in names if n not in ignored.get(kind, ())]
              for kind, names in wrong.items()}  # fmt: skip
    if told := _told(severe):
        hint = "" if strict else "; the parameter strict set to false lets the server start anyway"
        raise DeploymentError(f"{what}: weights are {told}{hint}")
    if told := _told(ignored):
        logger.warning("%s, ignored: %s", what, told)


def _told(names: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{what}: {_enumerated(each)}" for what, each in names.items() if each)


def _is_buffer(name: str, value: Any) -> bool:
    """Whether an unexpected entry is certainly not a weight."""
    is_tensor = isinstance(value, Tensor)
    return not is_tensor or not value.is_floating_point() or bool(BUFFERS.search(name))


def _fitting(content: Weights, own: Weights, path: Path) -> tuple[str, Weights]:
    """The key and the weights, renamed to the module's names, of the entry that fits it best.

    Raises `DeploymentError` if several entries fit equally and none has a usual key.
    """
    found = [(key, _renamed(entry, list(own))) for key, entry in _entries(content)]
    most = max(sum(name in entry for name in own) for _, entry in found)
    best = [(key, each) for key, each in found if sum(name in each for name in own) == most]
    usual = [each for word in ("", *USUAL_KEYS) for each in best if each[0] == word]
    if not usual and len(best) > 1 and most:
        keys = ", ".join(key for key, _ in best)
        raise DeploymentError(
            f"model file {path} has {len(best)} entries that fit: {keys}. Save the right one"
            " as 'state_dict'"
        )
    return (usual or best)[0]


def _entries(content: Weights, prefix: str = "") -> Iterator[tuple[str, Weights]]:
    """The file's content under the key "", and the dicts of tensors in it by their keys."""
    if not prefix:
        yield "", content
    for key, value in content.items():
        if isinstance(value, Mapping) and len(prefix.split(".")) <= 2:
            name = f"{prefix}{key}"
            if any(isinstance(each, Tensor) for each in value.values()):
                yield name, value
            yield from _entries(value, f"{name}.")


def _renamed(weights: Weights, names: list[str]) -> Weights:
    """The weights under the module's own names.

    DataParallel, torch.compile and LightningModules that wrap the module add a prefix, and may
    have weights besides the module's.
    """
    plain = {str(key).replace(COMPILED, ""): value for key, value in weights.items()}
    found = [_without_prefix(each, names) for each in (weights, plain)]
    return max(found, key=lambda each: sum(name in each for name in names))


def _without_prefix(weights: Weights, names: list[str]) -> Weights:
    prefix = _prefix(weights, names)
    if not prefix:
        return weights
    return {
        key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
    }


def _prefix(weights: Weights, names: list[str]) -> str:
    """The prefix with which most names are found; empty if it is not clearly the best."""
    samples = names[:: max(1, len(names) // 5)]
    prefixes = dict.fromkeys(
        key.removesuffix(name)
        for name in samples
        for key in map(str, weights)
        if key.endswith(f".{name}")
    )
    counts = {each: sum(each + name in weights for name in names) for each in ("", *prefixes)}
    best = max(counts, key=lambda each: counts[each], default="")
    return best if list(counts.values()).count(counts[best]) == 1 else ""


def _enumerated(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
