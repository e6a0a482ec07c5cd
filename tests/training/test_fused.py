"""PyTorch's fused layers against Keras' own, in a process with that backend (these tests run on TensorFlow)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is no dependency; who trains on a CPU installs it"
)
_SCRIPT = """
import keras
import numpy as np
from training import fused, models, train

rng = np.random.default_rng(0)
encoder = models.slice_encoder("mobilenetv2", ("any",), None, size=None)
stages = encoder.get_layer("mobilenetv2")
norms = train._norms(stages.layers)
for norm in norms:
    norm.moving_mean.assign(rng.normal(0, 0.1, norm.moving_mean.shape))
    norm.moving_variance.assign(rng.uniform(0.5, 2, norm.moving_variance.shape))
hu = rng.integers(-100, 200, (2, 64, 64)).astype(np.int16)


def evidence():
    return keras.ops.convert_to_numpy(encoder(hu, training=False)["evidence"])


own = evidence()
fused.use_fused_layers()
np.testing.assert_allclose(evidence(), own, atol=1e-4)
train._freeze(encoder, "mobilenetv2", train.Phase(1, 1e-3, settled=True))
assert len(fused._FOLDED) == len(norms)
np.testing.assert_allclose(evidence(), own, atol=1e-4)
train._freeze(encoder, "mobilenetv2", train.Phase(1, 1e-3))
assert not fused._FOLDED, "what learns again is computed by itself"
np.testing.assert_allclose(evidence(), own, atol=1e-4)
"""


def test_fused_and_folded_layers_compute_what_keras_computes() -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
