"""Find and undo side effects of a traced function."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_registry  # lists which operations have side effects

# Operations that TensorFlow marks as stateful, although they only read, call or check.
READING = re.compile(
    r"_Arg|Assert|Case|If|While|(Stateful)?PartitionedCall|Print(V2)?|Var(iable.*|HandleOp)"
    r"|VarIsInitializedOp|_?ReadVariables?Op|ResourceGather(Nd)?|(Mutable)?HashTable(V2)?"
    r"|LookupTable(Find|Size|Export)(V2)?|TensorArray.*|Stack(Push|Pop|Close)?(V2)?"
    r"|CudnnRNN.*|Ref(Identity|Enter|Exit|Switch|Merge|Select|NextIteration)|IsVariableInitialized"
)
# Operations that change only variables.
ASSIGNING = re.compile(
    r"Assign(Add|Sub)?VariableOp|Resource(Scatter|StridedSliceAssign|Apply|SparseApply).*"
    r"|Rng(ReadAnd)?Skip(V2)?|Stateful(Standard|Truncated|Uniform|Random).*"
)


def changes(traced: Any) -> set[str]:
    """The names of a traced function's operations with side effects, as on variables or tables."""
    graph = traced.graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    functions = {each.signature.name for each in graph.library.function}
    return {kind for kind in {node.op for node in nodes} - functions if _has_effect(kind)}


@contextmanager
def restored(traced: Any) -> Iterator[None]:
    """Restore the function's variables after this block.

    Raises `ValueError` if the function changes anything else, because that cannot be undone.
    """
    changing = changes(traced)
    if lasting := sorted(kind for kind in changing if not ASSIGNING.fullmatch(kind)):
        raise ValueError(f"it would change the model: {', '.join(lasting)}")
    variables = list(traced.variables) if changing else []
    values = [tf.identity(each) for each in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, values, strict=True):
            tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


def _has_effect(kind: str) -> bool:
    operation = op_def_registry.get(kind)
    if READING.fullmatch(kind):
        return False
    if operation is None:
        return True  # from a library outside TensorFlow
    return operation.is_stateful or any(each.is_ref for each in operation.input_arg)
