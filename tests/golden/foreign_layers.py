"""Layers of other programs by their definition, in fp64 and plain loops where a rule is in question: what record-caffe
and record-darknet compute their answers with. Values are [channels][rows][columns], or [numbers] after a dense layer."""
import numpy as np


def conv(x, weight, bias=None, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1):
    filters, depth, rows, columns = weight.shape
    x = np.pad(x, ((0, 0), (pad[0],) * 2, (pad[1],) * 2))
    height = (x.shape[1] - ((rows - 1) * dilation[0] + 1)) // stride[0] + 1
    width = (x.shape[2] - ((columns - 1) * dilation[1] + 1)) // stride[1] + 1
    y = np.zeros((filters, height, width))
    each = filters // groups
    for g in range(groups):
        part = x[g * depth:(g + 1) * depth]
        for r in range(rows):
            for s in range(columns):
                top, left = r * dilation[0], s * dilation[1]
                seen = part[:, top:top + (height - 1) * stride[0] + 1:stride[0],
                            left:left + (width - 1) * stride[1] + 1:stride[1]]
                y[g * each:(g + 1) * each] += np.einsum("kc,chw->khw", weight[g * each:(g + 1) * each, :, r, s], seen)
    return y if bias is None else y + bias[:, None, None]


def dense(x, weight, bias=None):
    y = weight @ x.reshape(-1)
    return y if bias is None else y + bias


def channels(x, scale, shift):
    shape = (-1,) + (1,) * (x.ndim - 1)
    return x * scale.reshape(shape) + shift.reshape(shape)


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


class Numbers:
    """Random numbers, the same on every machine and with every numpy."""

    def __init__(self, seed):
        self.state = seed

    def bits(self, count):
        at = (np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(self.state))
        self.state = (self.state + count * 0x9E3779B97F4A7C15) % 2**64
        at = (at ^ (at >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        at = (at ^ (at >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return at ^ (at >> np.uint64(31))

    def floats(self, shape, low, high):
        unit = (self.bits(int(np.prod(shape))) >> np.uint64(11)).astype(np.float64) / 2**53
        return (low + (high - low) * unit).astype(np.float32).reshape(shape)

    def pictures(self, count, height, width, depth):
        return (self.bits(count * height * width * depth) & np.uint64(255)).astype(np.uint8).reshape(
            count, height, width, depth)
