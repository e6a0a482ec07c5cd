"""PyTorch's fused layers for Keras on PyTorch, which computes batch norm step by step, copies every map twice for a
convolution and adds its bias afterwards. Training on a CPU gets some four times as fast. Same numbers, same weights;
other backends are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import keras
from keras import layers, ops

# Convolutions that compute the batch norm after them, and these. (Keras would take an attribute for a layer's own.)
_NORMS: WeakKeyDictionary[Any, layers.BatchNormalization] = WeakKeyDictionary()
_FOLDED: WeakSet[layers.BatchNormalization] = WeakSet()


def use_fused_layers() -> None:
    """Let PyTorch compute every batch norm, convolution and maximum in one call, if it is Keras' backend."""
    if keras.backend.backend() == "torch":
        layers.BatchNormalization.call = _normalise
        layers.Conv2D.call = _convolve
        layers.DepthwiseConv2D.call = _convolve_each
        layers.MaxPooling2D.call = _pool


def fold(norms: Iterable[layers.BatchNormalization]) -> None:
    """Let the convolution before each of these batch norms, which learn no more, compute it with its own kernel.

    A batch norm that does not learn is a factor and a summand a channel: a fifth of a training step less.
    """
    if keras.backend.backend() != "torch":
        return
    for norm in norms:
        before = norm.input._keras_history.operation
        if isinstance(before, layers.Conv2D | layers.DepthwiseConv2D) and not before.use_bias:
            _NORMS[before] = norm
            _FOLDED.add(norm)


def unfold(norms: Iterable[layers.BatchNormalization]) -> None:
    """Take back what `fold` did."""
    for norm in norms:
        if norm in _FOLDED:
            _FOLDED.remove(norm)
            del _NORMS[norm.input._keras_history.operation]


# Channels last in Keras is a memory layout in PyTorch: moving the axis copies nothing.


def _normalise(self: layers.BatchNormalization, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """Normalise (..., channels)."""
    from torch.nn.functional import batch_norm

    assert mask is None, "no model here masks batch norm"
    if self in _FOLDED:
        return inputs
    assert self.axis in (-1, inputs.ndim - 1), "channels come last"
    out = batch_norm(
        inputs.movedim(-1, 1),
        self.moving_mean.value,
        self.moving_variance.value,
        self.gamma.value if self.scale else None,
        self.beta.value if self.center else None,
        training=bool(training and self.trainable),
        momentum=1 - self.momentum,
        eps=self.epsilon,
    )
    return out.movedim(1, -1)


def _convolve(self: layers.Conv2D, inputs: Any) -> Any:
    """Convolve (n, rows, columns, channels)."""
    assert self.groups == 1, "every channel sees all others"
    return _convolved(self, inputs, ops.convert_to_tensor(self.kernel).permute(3, 2, 0, 1), 1)


def _convolve_each(self: layers.DepthwiseConv2D, inputs: Any) -> Any:
    """Convolve every channel of (n, rows, columns, channels) by itself."""
    assert self.depth_multiplier == 1, "no channel becomes several"
    return _convolved(self, inputs, ops.convert_to_tensor(self.kernel).permute(2, 3, 0, 1), inputs.shape[-1])


def _convolved(layer: Any, inputs: Any, kernel: Any, groups: int) -> Any:
    from torch import channels_last
    from torch.nn.functional import conv2d, pad

    assert layer.data_format == "channels_last"
    assert set(layer.dilation_rate) == {1}
    (top, bottom), (left, right) = _padding(layer, inputs.shape)
    bias = ops.convert_to_tensor(layer.bias) if layer.use_bias else None
    if (norm := _NORMS.get(layer)) is not None:
        kernel, bias = _with_norm(kernel, norm)
    out = inputs.movedim(-1, 1)
    if (top, left) != (bottom, right):
        out, top, left = pad(out, (left, right, top, bottom)), 0, 0
    out = conv2d(
        out,
        kernel.contiguous(memory_format=channels_last),
        bias,
        stride=layer.strides,
        padding=[top, left],
        groups=groups,
    )
    out = out.movedim(1, -1)
    return out if layer.activation is None else layer.activation(out)


def _with_norm(kernel: Any, norm: layers.BatchNormalization) -> tuple[Any, Any]:
    """A kernel (out, in, h, w) that gives normalised values with the bias that it comes with."""
    scale = (norm.moving_variance.value + norm.epsilon).rsqrt()
    if norm.scale:
        scale = scale * norm.gamma.value
    shift = -norm.moving_mean.value * scale
    if norm.center:
        shift = shift + norm.beta.value
    return kernel * scale.to(kernel.dtype)[:, None, None, None], shift.to(kernel.dtype)


def _pool(self: layers.MaxPooling2D, inputs: Any) -> Any:
    """Take the maximum of windows of (n, rows, columns, channels)."""
    from torch.nn.functional import max_pool2d

    assert (self.data_format, self.padding) == ("channels_last", "valid")
    return max_pool2d(inputs.movedim(-1, 1), self.pool_size, self.strides).movedim(1, -1)


def _padding(layer: Any, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Zeros before and after the rows and the columns; with strides `same` puts the odd one after."""
    if layer.padding == "valid":
        return [(0, 0), (0, 0)]
    both = []
    for size, side, stride in zip(shape[1:3], layer.kernel_size, layer.strides, strict=True):
        zeros = max((-(-size // stride) - 1) * stride + side - size, 0)
        both.append((zeros // 2, zeros - zeros // 2))
    return both
