"""The kinds of values that operations and layers accept.

A kind is a letter as in numpy's dtypes: b for booleans, i for integers, f for floats. Operations
that are not in the tables are assumed to accept all kinds.
"""

from collections.abc import Iterable, Mapping

KINDS = "bif"
Place = int | str

# Arguments for integers, for masks and for attention masks, by position or by name.
INDICES: dict[str, tuple[Place, ...]] = {
    "embedding": (0, "input"),
    "aten::embedding": (1,),
    "embeddingbag": (0, 1, "input", "offsets"),
    "aten::embeddingbag": (1, 2),
    "one_hot": (0, "tensor", "input"),
    **dict.fromkeys(
        ("gather", "scatter", "scatter_add", "scatter_reduce", "index_select", "index_add",
         "index_copy", "index_fill"), (2, "index"),
    ),
    "take": (1, "index"),
    "take_along_dim": (1, "indices"),
    "bincount": (0, "input"),
}  # fmt: skip
MASKS: dict[str, tuple[Place, ...]] = {
    **dict.fromkeys(("masked_fill", "masked_select", "masked_scatter"), (1, "mask")),
    "where": (0, "condition"),
}
ATTENTION: dict[str, tuple[Place, ...]] = {
    "scaled_dot_product_attention": (3, "attn_mask"),
    "multiheadattention": (3, 5, "key_padding_mask", "attn_mask"),
    "transformerencoderlayer": (1, 2, "src_mask", "src_key_padding_mask"),
    "transformerencoder": (1, 2, "mask", "src_key_padding_mask"),
    **dict.fromkeys(
        ("transformerdecoderlayer", "transformerdecoder"),
        (2, 3, 4, 5, "tgt_mask", "memory_mask", "tgt_key_padding_mask", "memory_key_padding_mask"),
    ),
}
BITS = {"and", "or", "xor", "invert", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"}
FRACTIONS = {
    "linear", "bilinear", "conv1d", "conv2d", "conv3d", "convolution", "convtranspose1d",
    "convtranspose2d", "convtranspose3d", "conv_transpose1d", "conv_transpose2d", "lstm", "gru",
    "rnn", "batchnorm1d", "batchnorm2d", "batchnorm3d", "batch_norm", "layernorm", "layer_norm",
    "groupnorm", "group_norm", "instancenorm1d", "instancenorm2d", "instance_norm", "softmax",
    "log_softmax", "logsoftmax", "gelu", "silu", "mean", "normalize",
    "scaled_dot_product_attention", "multiheadattention", "transformerencoderlayer",
    "transformerencoder", "transformerdecoderlayer", "transformerdecoder", "transformer",
}  # fmt: skip


def demanded(operation: str, places: Iterable[Place]) -> str:
    """The kinds that an operation accepts in all of these arguments, such as `bf`.

    The prefix `aten::` means that the positions are those of TorchScript's graphs.
    """
    name = operation.removeprefix("aten::")
    kinds = KINDS
    for place in places:
        kinds = "".join(kind for kind in _at(operation, name, place) if kind in kinds)
    return kinds


def _at(operation: str, name: str, place: Place) -> str:
    tables: tuple[tuple[Mapping[str, tuple[Place, ...]], str], ...] = (
        (INDICES, "i"), (MASKS, "b"), (ATTENTION, "bf"),
    )  # fmt: skip
    for table, kinds in tables:
        if place in table.get(operation, table.get(name, ())):
            return kinds
    if name in BITS:
        return "bi"
    return "f" if name in FRACTIONS and place in (0, "input", "x", "query", "src") else KINDS
