"""The slice encoder alone: ICHScope's providers beside their peers, on the same weights and slices, in turns.

    python -m benchmarks.encoder                    # every provider, and OpenVINO's own runtime if it is installed
    python -m benchmarks.encoder --keras            # Keras `predict` and a TensorFlow SavedModel, too; needs TensorFlow
    python -m benchmarks.encoder --scaling          # by threads and by slices a call
    python -m benchmarks.encoder --isa AVX2         # as on a processor without AVX-512 and AMX (OpenVINO's part alone)

With --keras a network of the model's kind gets random weights, which take as long as trained ones, and is exported for
this run, so that all ways have the same weights; with --int8 it is made into 8-bit weights on synthetic slices, which
is good for its speed only. GEMM is how fast this machine multiplies large matrices in a precision: the share says how
much of that an encoder gets. Medians of the rounds; a ratio is by round, so that a busy moment hits both sides.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks import gemm, shared
from ichscope import phantom
from ichscope.imaging.preprocess import INPUT_SIZE, model_input
from ichscope.models import providers
from ichscope.models.autotuning import encoder_file
from ichscope.models.card import ENCODER_FILE, INT8_FILE, ModelCard
from ichscope.models.providers import Provider

BASE = "CPU fp32"
KERAS_BATCHES = (1, 8, 32)
BATCHES = (1, 2, 4, 8, 16, 32)
_OUTPUTS = ["features", "evidence"]

Slices = NDArray[np.int16]
Ways = dict[str, Callable[[], object]]


def main() -> int:
    options = _parse()
    if options.isa and os.environ.get("ONEDNN_MAX_CPU_ISA") != options.isa:
        command = [sys.executable, "-m", "benchmarks.encoder", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, "ONEDNN_MAX_CPU_ISA": options.isa}, check=False).returncode
    report: dict[str, Any] = {"machine": shared.machine()}
    print(shared.conditions(report["machine"]))
    hu = _slices(options.slices)
    with tempfile.TemporaryDirectory(prefix="ichscope-encoder-") as folder:
        files, ways = _peers(options, Path(folder), hu)
        sessions = {provider.label: providers.Encoder(path, provider) for provider, path in files.items()}
        ways |= {label: _by_runtime(session, hu, options.batch) for label, session in sessions.items()}
        ways |= {f"GEMM {name}": way for name, way in gemm.ways(Path(folder)).items()}
        taken = shared.take_turns(ways, options.rounds)
        plain = next(path for provider, path in files.items() if not provider.needs_int8)
        report |= {"slices": len(hu), "batch": options.batch, "gigaflops_a_slice": _operations(plain) / 1e9}
        report["ways"] = summary(taken, len(hu), _operations(plain))
        print("\n" + table(report))
        if options.scaling:
            report["scaling"] = scaling(files, hu, options.rounds)
            print("\n" + scaling_table(report["scaling"]))
    shared.save(report, options.json)
    return 0


def summary(taken: Mapping[str, list[float]], slices: int, operations: float) -> dict[str, dict[str, float]]:
    """By way: slices or multiplications a second, how many times plain fp32, and the share of its precision's GEMM."""
    limits = {
        name.removeprefix("GEMM "): gemm.OPERATIONS / statistics.median(seconds)
        for name, seconds in taken.items()
        if name.startswith("GEMM")
    }
    rates = {}
    for name, seconds in taken.items():
        if name.startswith("GEMM"):
            rates[name] = {"gigaflops": limits[name.removeprefix("GEMM ")] / 1e9}
            continue
        rate = slices / statistics.median(seconds)
        rates[name] = {"slices_per_s": rate}
        if BASE in taken:
            pairs = zip(taken[BASE], seconds, strict=True)
            rates[name]["times_plain"] = statistics.median(base / own for base, own in pairs)
        if limit := limits.get(name.rpartition(" ")[2]):
            rates[name]["share_of_gemm"] = rate * operations / limit
    return rates


def scaling(files: Mapping[Provider, Path], hu: Slices, rounds: int) -> dict[str, dict[str, float]]:
    """Slices a second by provider, threads and slices a call."""
    rates: dict[str, dict[str, float]] = {}
    for threads in range(1, providers.cores() + 1):
        for provider, path in files.items():
            session = providers.Encoder(path, provider, threads)
            taken = shared.take_turns({str(size): _by_runtime(session, hu, size) for size in BATCHES}, rounds)
            title = f"{provider.label}, {threads} thread{'s' if threads > 1 else ''}"
            rates[title] = {size: len(hu) / statistics.median(seconds) for size, seconds in taken.items()}
    return rates


# --- ways -----------------------------------------------------------------------------------------------


def _peers(options: argparse.Namespace, folder: Path, hu: Slices) -> tuple[dict[Provider, Path], Ways]:
    """The file that each provider runs, and the ways that are not ICHScope's."""
    ways: Ways = {}
    model = options.models / options.model
    card = ModelCard.read(model)
    plain = card.encoder_folder(model) / ENCODER_FILE
    if options.keras:
        plain, ways = _keras(options.model, folder, hu)
    files = dict.fromkeys(providers.available(), plain)
    if options.int8:
        from training.quantise import quantise

        quantise(plain, folder / INT8_FILE, [hu[:8]])
        files |= dict.fromkeys(providers.for_int8(), folder / INT8_FILE)
    elif not options.keras and card.int8_file(model):
        files |= {provider: encoder_file(model, card, provider) for provider in providers.for_int8()}
    return files, ways | _openvino(files, hu, options.batch)


def _by_runtime(session: Any, hu: Slices, batch: int) -> Callable[[], object]:
    return lambda: [session.run(_OUTPUTS, {"hu": hu[at : at + batch]}) for at in range(0, len(hu), batch)]


def _keras(model: str, folder: Path, hu: Slices) -> tuple[Path, Ways]:
    """Keras `predict` at several batch sizes and a SavedModel; gives the same network as ONNX, too."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    from training import models, onnx_files

    keras.utils.set_random_seed(0)
    kind = models.ARCHITECTURES[model]
    encoder = models.slice_encoder(kind.backbone, kind.labels)
    function = onnx_files.encoder_function(encoder)
    onnx_files.convert(function, folder / ENCODER_FILE)
    module = tf.Module()
    module.encode, module.model = function, encoder
    tf.saved_model.save(module, str(folder / "saved"))
    saved = tf.saved_model.load(str(folder / "saved"))
    ways: Ways = {
        f"Keras predict, {size} a call fp32": partial(encoder.predict, hu, batch_size=size, verbose=0)
        for size in KERAS_BATCHES
    }
    ways["TensorFlow SavedModel fp32"] = lambda: [
        saved.encode(tf.constant(hu[at : at + 8])) for at in range(0, len(hu), 8)
    ]
    return folder / ENCODER_FILE, ways


def _openvino(files: Mapping[Provider, Path], hu: Slices, batch: int) -> Ways:
    """OpenVINO's own runtime, where its Python package is installed; it is no requirement of ICHScope."""
    try:
        import openvino
    except ImportError:
        return {}
    by_precision = {"int8" if provider.needs_int8 else "fp32": path for provider, path in files.items()}
    if providers.has_bf16():
        by_precision["bf16"] = by_precision["fp32"]
    ways: Ways = {}
    for precision, path in by_precision.items():
        hints = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
        compiled = openvino.Core().compile_model(
            str(path), "CPU", {**hints, "INFERENCE_NUM_THREADS": providers.cores()}
        )
        ways[f"OpenVINO's own runtime {precision}"] = partial(_in_batches, compiled, hu, batch)
    return ways


def _in_batches(compiled: Callable[[Slices], object], hu: Slices, batch: int) -> list[object]:
    return [compiled(hu[at : at + batch]) for at in range(0, len(hu), batch)]


def _slices(count: int) -> Slices:
    made = phantom.make("intraparenchymal", seed=1, slices=8, size=INPUT_SIZE)
    hu = model_input(made.hu, made.spacing_mm[1:])[0]
    return np.ascontiguousarray(np.concatenate([hu] * -(-count // len(hu)))[:count])


def _operations(path: Path) -> float:
    """Additions and multiplications that the convolutions take for one slice."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.value_info}
    weights = {weight.name: list(weight.dims) for weight in graph.initializer} | shapes
    total = 0.0
    for node in graph.node:
        if node.op_type == "Conv":
            rows, columns = shapes[node.output[0]][2:]
            total += 2.0 * rows * columns * float(np.prod(weights[node.input[1]]))
    return total


# --- what is shown --------------------------------------------------------------------------------------


def table(report: Mapping[str, Any]) -> str:
    lines = [
        f"{report['slices']} slices, {report['batch']} a call, {report['gigaflops_a_slice']:.1f} GFLOP a slice",
        shared.line("", ("slices/s", "x plain", "of GEMM")),
    ]
    for name, rates in report["ways"].items():
        if "gigaflops" in rates:
            lines.append(shared.line(name, (f"{rates['gigaflops']:.0f} GFLOPS",)))
            continue
        ratio = f"{rates['times_plain']:.2f}" if "times_plain" in rates else ""
        share = f"{100 * rates['share_of_gemm']:.0f} %" if "share_of_gemm" in rates else ""
        lines.append(shared.line(name, (f"{rates['slices_per_s']:.1f}", ratio, share)))
    return "\n".join(lines)


def scaling_table(by_provider: Mapping[str, Mapping[str, float]]) -> str:
    lines = [shared.line("slices/s", [f"{size} a call" for size in BATCHES])]
    return "\n".join(
        [*lines, *(shared.line(name, [f"{r:.0f}" for r in rates.values()]) for name, rates in by_provider.items())]
    )


def _parse() -> argparse.Namespace:
    parser = shared.parser(__doc__, rounds=7)
    parser.add_argument("--model", default="cranioscan", help="whose encoder (default cranioscan)")
    parser.add_argument("--slices", type=int, default=32, help="slices a round (default 32)")
    parser.add_argument("--batch", type=int, default=8, help="slices a call (default 8)")
    parser.add_argument("--keras", action="store_true", help="Keras and TensorFlow, too")
    parser.add_argument("--int8", action="store_true", help="make 8-bit weights for this run")
    parser.add_argument("--scaling", action="store_true", help="by threads and slices a call, too")
    parser.add_argument("--isa", metavar="NAME", help="no instructions beyond these, as AVX2")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
