"""The machine's own limit: how fast it multiplies matrices in fp32, bf16 and int8. benchmarks.encoder shows it, too.

python -m benchmarks.gemm
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks import shared
from ichscope.models import providers

# Large enough for the full rate, small enough for the cache.
SIDE = 2048
OPERATIONS = 2 * SIDE**3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each way is timed (default 7)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ichscope-gemm-") as folder:
        for name, seconds in shared.take_turns(ways(Path(folder)), options.rounds).items():
            print(shared.line(name, [f"{OPERATIONS / statistics.median(seconds) / 1e9:.0f} GFLOPS"]))


def ways(folder: Path) -> dict[str, Callable[[], object]]:
    """One multiplication of two SIDE x SIDE matrices by precision, through the runtimes that the models use."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(SIDE, SIDE)).astype(np.float32) for _ in range(2))
    x, w = rng.integers(0, 128, (SIDE, SIDE), np.uint8), rng.integers(-64, 64, (SIDE, SIDE), np.int8)
    cpu = providers.choose("cpu")
    fp32 = providers.session(_model("MatMul", TensorProto.FLOAT, b, folder / "fp32.onnx"), cpu)
    products: dict[str, Callable[[], object]] = {"fp32": lambda: fp32.run(None, {"a": a})}
    openvino = next((provider for provider in providers.available() if provider.choice == "openvino"), None)
    if openvino and openvino.label.endswith("bf16"):
        bf16 = providers.session(_model("MatMul", TensorProto.FLOAT, b, folder / "bf16.onnx"), openvino)
        products["bf16"] = lambda: bf16.run(None, {"a": a})
    int8 = providers.session(_model("MatMulInteger", TensorProto.UINT8, w, folder / "int8.onnx"), cpu)
    products["int8"] = lambda: int8.run(None, {"a": x})
    return products


def _model(kind: str, of: int, weight: np.ndarray, path: Path) -> Path:
    """A graph that multiplies its input with a constant and gives the sum of each row, so that little is copied."""
    result = TensorProto.INT32 if kind == "MatMulInteger" else of
    nodes = [
        helper.make_node(kind, ["a", "w"], ["product"]),
        helper.make_node("ReduceMax", ["product", "columns"], ["out"], keepdims=0),
    ]
    constants = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array([1]), "columns")]
    graph = helper.make_graph(
        nodes,
        kind,
        [helper.make_tensor_value_info("a", of, [SIDE, SIDE])],
        [helper.make_tensor_value_info("out", result, [SIDE])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


if __name__ == "__main__":
    main()
