"""The network as an ONNX graph, run by ONNX Runtime: one call for all steps of all games, where plain numpy needs eight
calls a step. The same bits for one game as for many, for few steps as for all, on any number of threads."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

# The oldest forms that say what is needed: newer runtimes read them all.
_OPSET = 14
_IR_VERSION = 8
_ANSWER = ["answer"]


class Network:
    """Of LSTM weights with gates in the order input, forget, output, cell, and of the head's: shapes as of
    models.lstm.Lstm."""

    def __init__(self, inputs: Floats, hidden: Floats, bias: Floats, head: Floats) -> None:
        # Imported here: who only reads histories or bundles' manifests need not wait for it.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Faster for one game, and a batch leaves no memory behind.
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        graph = _graph(inputs, hidden, bias, head)
        self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def answer(self, steps: Singles) -> Singles:
        """The head's answer at every step without its bias, float32[T, n], to ``steps`` float32[T, n, features]."""
        said: Singles = self._session.run(_ANSWER, {"steps": steps})[0]
        return said[:, 0, :, 0]


def _graph(inputs: Floats, hidden: Floats, bias: Floats, head: Floats) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    size = hidden.shape[0]
    arrays = {
        "input_weights": _reordered(inputs).T[None],
        "hidden_weights": _reordered(hidden).T[None],
        # ONNX has a bias for the input and one for the hidden state; their sum is what counts.
        "gate_bias": np.concatenate([_reordered(bias), np.zeros_like(bias)])[None],
        "head_weights": head[:, None],
    }
    single = partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT)
    graph = helper.make_graph(
        [
            helper.make_node("LSTM", ["steps", *list(arrays)[:3]], ["states"], hidden_size=size),
            helper.make_node("MatMul", ["states", "head_weights"], ["answer"]),
        ],
        "lstm",
        [single("steps", shape=["T", "n", inputs.shape[0]])],
        [single("answer", shape=["T", 1, "n", 1])],
        [numpy_helper.from_array(array.astype(np.float32, order="C"), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


def _reordered(gates: Floats) -> Floats:
    """Gates as ONNX has them: input, output, forget, cell."""
    first, forget, output, cell = np.split(gates, 4, axis=-1)
    return np.concatenate([first, output, forget, cell], axis=-1)
