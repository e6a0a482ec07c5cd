"""8-bit weights for a published encoder, for processors that multiply them faster: CPUs without AMX, most of all.

    python -m training.quantise models/cranioscan --data ../shared/data    # find ranges, measure, write, fill in card
    python -m training.quantise models/cranioscan                          # make the same file again from the card

`python -m export.model_card models/cranioscan` puts what the card says then into its README, too.

The card keeps the ranges of every map, from which the same versions of the tools make the same bytes. Ranges come from
patients that trained; the change of AUC and of probabilities is measured on other patients and on slices of another
hospital. Some of these patients trained the model, too, where it was trained on all: what 8 bits change does not depend
on that, how good it is does. Which layers stay as they are was chosen by the same patients, of a dozen ways; what such
a choice flatters is small. The file is kept only if no AUC that enough pairs stand behind changes by more than 0.002.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ichscope.labels import LABELS
from ichscope.metrics import roc_auc
from ichscope.models.card import CARD_FILE, ENCODER_FILE, INT8_FILE, ModelCard, ModelError, file_sha256
from ichscope.models.card_parts import AucChange, Int8, Int8Measured
from ichscope.models.detector import Detector, Prediction
from training.data import DEFAULT_CACHE, TrainingStudy, load

MOST_CHANGE = 0.002
CALIBRATED_ON = "ct-ich"
MEASURED_ON = ("ct-ich", "rsna-sample")
# Where the time goes. Sums of residual blocks stay as they are: in 256 steps they lost too much.
_QUANTISED = ["Conv"]
# So many convolutions on either side stay as they are: HU in 256 steps hide blood, and logits in 256 steps are coarse.
# In a ResNet50 that is its first block, and what brings its stages together; it halves what 8 bits change.
_ENDS = 5
_BATCH = 8


class GateError(Exception):
    """8-bit weights change too much."""


# ---- the file ------------------------------------------------------------------------------------------


def quantise(
    source: Path,
    target: Path,
    batches: Iterable[NDArray[np.int16]] = (),
    ranges: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write an encoder with 8-bit weights: static, per channel, by ONNX Runtime's own quantiser.

    Weights have 7 of the 8 bits: with all of them sums overflow on processors without VNNI.

    Parameters
    ----------
    source : encoder.onnx
    target : the new file
    batches : (n, 224, 224) int16 HU, whose values set the ranges
    ranges : of an earlier call, in place of batches; the same ranges give the same file

    Returns
    -------
    the ranges, for the card
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".quantise-") as folder:
        whole, kept = Path(folder) / source.name, Path(folder) / "ranges.json"
        model = in_full(onnx.load(source))
        onnx.save(model, whole)
        if ranges is not None:
            kept.write_text(json.dumps(ranges), encoding="utf-8")
        quantize_static(
            str(whole),
            str(target),
            None if ranges is not None else _Batches(iter(batches)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTISED,
            nodes_to_exclude=_at_the_ends(model),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibration_cache_path=str(kept),
        )
        kept_ranges: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return kept_ranges


def in_full(model: onnx.ModelProto) -> onnx.ModelProto:
    """Turn weights that are stored as fp16 back into fp32, which the quantiser expects."""
    graph = model.graph
    stored = {weight.name: weight for weight in graph.initializer}
    for cast in [node for node in graph.node if node.op_type == "Cast" and node.input[0] in stored]:
        value = numpy_helper.to_array(stored[cast.input[0]])
        if value.dtype != np.float16 or cast.attribute[0].i != TensorProto.FLOAT:
            continue
        stored[cast.input[0]].CopyFrom(numpy_helper.from_array(value.astype(np.float32), cast.output[0]))
        graph.node.remove(cast)
    return model


def _at_the_ends(model: onnx.ModelProto) -> list[str]:
    """Name the first and the last convolutions; of few, so many that one is left between them."""
    names = [node.name for node in model.graph.node if node.op_type == "Conv"]
    count = min(_ENDS, (len(names) - 1) // 2)
    return [*names[:count], *names[len(names) - count :]]


class _Batches(CalibrationDataReader):  # type: ignore[misc] # ONNX Runtime ships no types
    """Batches in the form that the quantiser asks for."""

    def __init__(self, batches: Iterator[NDArray[np.int16]]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"hu": batch}


# ---- what it changes -----------------------------------------------------------------------------------


def compare(plain: Detector, small: Detector, studies: Sequence[TrainingStudy]) -> Int8Measured:
    """AUCs before and after by collection, level and label, and the largest change of a probability.

    A figure `decides` where one pair of a positive and a negative is less than the change that is allowed: with fewer
    pairs, one that changes places would decide alone.
    """
    pairs = [(study, plain.run(study.hu), small.run(study.hu)) for study in studies]
    worst = {
        level: max(float(np.abs(_given(b, level) - _given(a, level)).max()) for _, a, b in pairs)
        for level in ("slice", "study")
    }
    figures = {}
    for source in sorted({study.source for study in studies}):
        some = [pair for pair in pairs if pair[0].source == source]
        for level in ("slice", "study"):
            for i, label in enumerate(plain.card.labels):
                truth = np.concatenate([_truth(study, level)[:, LABELS.index(label)] for study, _, _ in some])
                before = np.concatenate([_given(a, level)[:, i] for _, a, _ in some])
                after = np.concatenate([_given(b, level)[:, i] for _, _, b in some])
                if figure := _figure(truth, before, after):
                    figures[f"{source} {level} {label}"] = figure
    return Int8Measured(len({study.patient for study in studies}), worst, figures)


def _figure(truth: NDArray[np.floating], before: NDArray[Any], after: NDArray[Any]) -> AucChange | None:
    fp32, int8 = (roc_auc(truth, score).value for score in (before, after))
    if fp32 is None or int8 is None:
        return None
    pairs = int((truth == 1).sum() * (truth == 0).sum())
    return AucChange(round(fp32, 5), round(int8, 5), round(int8 - fp32, 5), pairs, pairs * MOST_CHANGE > 1)


def _given(prediction: Prediction, level: str) -> NDArray[np.float32]:
    return prediction.slice_probability if level == "slice" else prediction.study_probability[None]


def _truth(study: TrainingStudy, level: str) -> NDArray[np.float32]:
    if level == "slice":
        return study.labels
    known = np.where(np.isnan(study.labels).any(axis=0), np.nan, 0.0)
    return np.where(study.bleeds, 1.0, known)[None].astype(np.float32)


def check(measured: Int8Measured) -> None:
    """Let pass what changes little.

    Raises
    ------
    GateError
        if a figure that decides changes too much, or none decides
    """
    deciding = {name: auc.change for name, auc in measured.auc.items() if auc.decides}
    if not deciding:
        raise GateError("expected at least one AUC with enough pairs to decide, found none")
    name = max(deciding, key=lambda figure: abs(deciding[figure]))
    if abs(deciding[name]) > MOST_CHANGE:
        raise GateError(f"{name}: expected an AUC that changes by at most {MOST_CHANGE}, found {deciding[name]:+.5f}")


# ---- a model folder ------------------------------------------------------------------------------------


def add(folder: Path, training: Sequence[TrainingStudy], measuring: Sequence[TrainingStudy]) -> ModelCard:
    """Make the file of a model folder, measure it, and write it and the card if the gate holds.

    Raises
    ------
    GateError
        if not; the folder is then as it was
    """
    card = ModelCard.read(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".quantise-") as place:
        built = Path(place) / folder.name
        shutil.copytree(folder, built)
        batches = (hu for study in training for hu in _batches(study.hu))
        ranges = quantise(built / ENCODER_FILE, built / INT8_FILE, batches)
        int8 = Int8(file_sha256(built / INT8_FILE), ranges)
        replace(card, int8=int8).write(built)
        measured = compare(Detector(folder, "cpu"), Detector(built, "cpu-int8"), measuring)
        check(measured)
        calibrated = len({study.patient for study in training})
        card = replace(card, int8=replace(int8, calibrated_on_patients=calibrated, measured=measured))
        (built / INT8_FILE).replace(folder / INT8_FILE)
    card.write(folder)
    return card


def rebuild(folder: Path) -> None:
    """Make the file of a model folder again from the ranges in its card.

    Raises
    ------
    ModelError
        if the card has none, or another file comes out
    """
    card = ModelCard.read(folder)
    if card.int8 is None or card.int8.ranges is None:
        raise ModelError(f"{folder / CARD_FILE}: expected ranges for 8-bit weights, found none; --data finds them")
    card.verify(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".quantise-") as place:
        made = Path(place) / INT8_FILE
        quantise(folder / ENCODER_FILE, made, ranges=card.int8.ranges)
        if (actual := file_sha256(made)) != (expected := card.int8.sha256):
            raise ModelError(
                f"{folder / INT8_FILE}: expected SHA-256 {expected[:12]}, found {actual[:12]}; made with other versions"
            )
        made.replace(folder / INT8_FILE)


def _refuse_shared(folder: Path) -> None:
    """A model that runs another's encoder runs that one's 8-bit weights."""
    if owner := ModelCard.read(folder).encoder_of:
        raise ModelError(f"{folder / CARD_FILE}: expected an encoder of its own, found that of {owner}: quantise that")


def _batches(hu: NDArray[np.int16]) -> Iterator[NDArray[np.int16]]:
    return (hu[at : at + _BATCH] for at in range(0, len(hu), _BATCH))


def _patients(studies: Sequence[TrainingStudy]) -> list[str]:
    return list(dict.fromkeys(study.patient for study in studies))


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line; 0 if the file was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a model folder, such as models/cranioscan")
    parser.add_argument("--data", type=Path, help="folder of the collections; without it the card's ranges are taken")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where training keeps what it has read")
    parser.add_argument("--patients", type=int, default=8, help="to find ranges on (default 8); the rest measure")
    options = parser.parse_args(arguments)
    try:
        _refuse_shared(options.folder)
        if options.data is None:
            rebuild(options.folder)
            return 0
        studies = load(options.data, MEASURED_ON, options.cache)
        ours = _patients([study for study in studies if study.source == CALIBRATED_ON])
        # Spread over the collection, whose order may be that of time or hospital.
        chosen = set(ours[:: max(1, len(ours) // options.patients)][: options.patients])
        training = [study for study in studies if study.patient in chosen]
        card = add(options.folder, training, [study for study in studies if study.patient not in chosen])
    except (GateError, ModelError, OSError) as error:
        print(f"not written: {error}", file=sys.stderr)
        return 1
    measured = card.int8 and card.int8.measured
    print(f"{options.folder / INT8_FILE}: largest changes {measured and measured.largest_change}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
