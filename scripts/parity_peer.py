"""What the comparisons with PyTorch share: torchvision's nets under the names of the zoo, one batch through a net, and
safetensors (https://huggingface.co/docs/safetensors) in a few lines, since Debian has no package for them. Used by
scripts/parity.py and tests/golden/record."""
import json
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

TYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64}


def write_safetensors(path, tensors, metadata=None):
    """tensors: name -> numpy array of F32, F64 or I64."""
    head, place = {}, 0
    if metadata:
        head["__metadata__"] = metadata
    for name, array in tensors.items():
        kind = next(k for k, t in TYPES.items() if array.dtype == t)
        head[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())


def read_safetensors(path):
    """name -> numpy array that reads from the file as it is used."""
    with open(path, "rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        start = file.tell()
    data = np.memmap(path, dtype=np.uint8, mode="r")
    tensors = {}
    for name, entry in head.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = data[start + begin:start + end].view(TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def alexnet(classes, towers):
    """AlexNet as it was published (2012), which torchvision has not; PyTorch's normalization divides alpha by its width."""
    layers = {"conv1": nn.Conv2d(3, 96, 11, stride=4), "conv2": nn.Conv2d(96, 256, 5, padding=2, groups=towers),
              "conv3": nn.Conv2d(256, 384, 3, padding=1), "conv4": nn.Conv2d(384, 384, 3, padding=1, groups=towers),
              "conv5": nn.Conv2d(384, 256, 3, padding=1, groups=towers),
              "fc6": nn.Linear(9216, 4096), "fc7": nn.Linear(4096, 4096), "fc8": nn.Linear(4096, classes)}
    net = nn.Sequential()
    for name, layer in layers.items():
        if name == "fc6":
            net.add_module("flat", nn.Flatten())
        net.add_module(name, layer)
        if name != "fc8":
            net.add_module("relu_" + name, nn.ReLU())
        if name in ("conv1", "conv2"):
            net.add_module("norm_" + name, nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2))
        if name in ("conv1", "conv2", "conv5"):
            net.add_module("pool_" + name, nn.MaxPool2d(3, 2))
    return net


def build(name, classes):
    """torchvision's module, without the time that its own initialisation takes and without dropout."""
    if name in ("alexnet", "alexnet_2gpu"):
        return alexnet(classes, 2 if name == "alexnet_2gpu" else 1)
    more = {"aux_logits": True, "transform_input": False, "init_weights": False} if name == "googlenet" else {}
    constructor = getattr(torchvision.models, name.replace("alexnet_torchvision", "alexnet"))
    net = constructor(weights=None, num_classes=classes, **more)
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return net


def state(net):
    return {k: v.numpy() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}


def last_norms(net):
    """The batch norms that end the branch of a residual block."""
    blocks = [m for m in net.modules() if hasattr(m, "downsample")]
    return [getattr(block, "bn3", None) or block.bn2 for block in blocks]


def run(net, images, labels, train):
    """One batch: name -> tensor as `strata trace --gradients` writes them. Running statistics stay as they are."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 0.0
    net.train(train)
    net.zero_grad(set_to_none=True)
    # By hooks: torchvision swaps the names of GoogLeNet's two heads in what forward returns.
    outputs = {}
    heads = [name for name in ("aux1", "aux2") if getattr(net, name, None) is not None]
    hooks = [getattr(net, head).register_forward_hook(
        lambda module, given, out, head=head: outputs.update({head + ".logits": out})) for head in heads]
    out = net(images)
    for hook in hooks:
        hook.remove()
    loss = F.cross_entropy(getattr(out, "logits", out), labels)
    loss = loss + sum(0.3 * F.cross_entropy(head, labels) for head in outputs.values())
    outputs["logits"] = getattr(out, "logits", out)
    loss.backward()
    result = {name: value.detach() for name, value in outputs.items()}
    result["loss"] = loss.detach()
    result.update({name: weight.grad for name, weight in net.named_parameters() if weight.grad is not None})
    return result


def relative_error(ours, reference):
    """Norm of the difference over the norm of the reference, in double."""
    a = torch.from_numpy(np.array(ours)).double().flatten()
    b = torch.from_numpy(np.array(reference)).double().flatten()
    size, apart = b.norm().item(), (a - b).norm().item()
    return apart / size if size > 0 else (0.0 if apart == 0 else float("inf"))


class Kinks:
    """The decisions of a net: which side of 0 a value is on before a rectifier, which value of a window is largest.
    Within the pairs of `decided_as` PyTorch takes those that another program's values say."""

    def __init__(self, rectified, values):
        self.rectified = list(rectified)  # results of the rectifiers, in the order of the forward pass
        self.values = list(values)        # all results that a pooling may read
        self.count = self.differing = 0

    def relu(self, x, inplace=False):
        theirs = torch.from_numpy(np.array(self.rectified.pop(0)))
        side = theirs > 0
        self.count += side.numel()
        self.differing += int((side != (x > 0)).sum())
        return x * side.to(x.dtype)

    def max_pool2d(self, x, *window, return_indices=False, **more):
        theirs = self.nearest(x.detach())
        mine = F.max_pool2d_with_indices(x.detach(), *window, **more)[1]
        best = F.max_pool2d_with_indices(theirs, *window, **more)[1]
        self.count += best.numel()
        self.differing += int((best != mine).sum())
        return x.flatten(2).gather(2, best.flatten(2)).view(best.shape)

    def nearest(self, x):
        """The other program's values of what a pooling reads here."""
        alike = [torch.from_numpy(np.array(v)) for v in self.values if v.shape == tuple(x.shape)]
        return min(alike, key=lambda v: (v - x).abs().max().item())


@contextmanager
def decided_as(kinks):
    relu, max_pool2d = F.relu, F.max_pool2d
    F.relu, F.max_pool2d = kinks.relu, kinks.max_pool2d
    try:
        yield
    finally:
        F.relu, F.max_pool2d = relu, max_pool2d
