"""An ONNX graph in the making: operators are added in the order of computing, and values get their names here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.onnx_form import ROWS

if TYPE_CHECKING:
    import onnx

Kind = Literal["float32", "int64", "uint8", "bool"]


class Graph:
    """Operators, constants, inputs and outputs; `to_proto` makes ONNX's own object of them.

    Attributes
    ----------
    outputs
        What comes out, in order: objects with `name`, `shape` and `type`.
    n_bytes
        Size of all constants.
    """

    def __init__(self) -> None:
        self.outputs: list[dict[str, Any]] = []
        self.n_bytes = 0
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._results: list[onnx.ValueInfoProto] = []
        self._n_named = 0

    def add_input(self, name: str, shape: Sequence[int], kind: Kind = "float32", *, about: str = "") -> str:
        """Add an input whose rows have a shape, with what is to be known of it, and return its name."""
        self._inputs.append(_value(name, shape, kind, about))
        return name

    def add_output(
        self, name: str, value: str, shape: Sequence[int], kind: Kind = "float32", *, about: str = ""
    ) -> None:
        """Give out a value, whose rows have a shape, under a name, with what is to be known of it."""
        self._add("Identity", [value], name)
        self._results.append(_value(name, shape, kind, about))
        self.outputs.append({"name": name, "shape": [ROWS, *shape], "type": kind, "about": about})

    def constant(self, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        """Return the name of an array that the file holds."""
        from onnx import numpy_helper

        name = self._new_name("constant")
        self._constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        self.n_bytes += values.nbytes
        return name

    def op(self, operator: str, *values: str, **attributes: int) -> str:
        """Return the name of what an operator makes of values; see ONNX's list of operators."""
        name = self._new_name(operator.lower())
        self._add(operator, values, name, **attributes)
        return name

    def embed(self, graph: onnx.GraphProto, mark: str, value: str) -> dict[str, str]:
        """Add all that a graph of one input computes of a value; return its outputs' names there and here.

        Parameters
        ----------
        graph
            Of operators of version `OPSET`; its constants are made part of this one.
        mark
            What its names begin with here; no other graph's do.
        value
            Here.
        """
        from onnx import compose

        [given] = graph.input
        theirs = compose.add_prefix_graph(graph, mark)
        self._add("Identity", [value], mark + given.name)
        self._nodes += theirs.node
        self._constants += theirs.initializer
        self.n_bytes += sum(each.ByteSize() for each in theirs.initializer)
        return {each.name: mark + each.name for each in graph.output}

    def to_proto(self, name: str, about: str) -> onnx.GraphProto:
        """Return ONNX's own object."""
        from onnx import helper

        return helper.make_graph(self._nodes, name, self._inputs, self._results, self._constants, doc_string=about)

    def _add(
        self,
        operator: str,
        values: Sequence[str],
        name: str,
        **attributes: Any,  # noqa: ANN401 - numbers, beside which make_node has keywords for texts
    ) -> None:
        from onnx import helper

        # Named as what it gives: onnxruntime 1.18 names what it fuses after it, and refuses the same name twice.
        self._nodes.append(helper.make_node(operator, list(values), [name], name=name, **attributes))

    def _new_name(self, what: str) -> str:
        self._n_named += 1
        return f"_{what}_{self._n_named}"  # names of inputs begin with a letter


def _value(name: str, shape: Sequence[int], kind: Kind, about: str) -> onnx.ValueInfoProto:
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), [ROWS, *shape], about)
