"""Parity with PyTorch: every net of the list at its published size, the same weights and the same batch on both sides,
logits and the gradient of every weight compared, in train mode and in inference mode. `make parity` calls it.

    parity.py STRATA [--nets NAME,NAME...] [--batch N] [--seed S] [--json FILE]

The error of a tensor is the norm of the difference over the norm of PyTorch's. Gradients jump where a value crosses the
kink of a rectifier or two values of a pooling window change places, and at such a size some value is always so near
that the last bit of a sum decides. So where gradients are over the tolerance PyTorch computes once more with the few
decisions that strata took otherwise (`flips`, at most FLIPS of all); these gradients must agree. docs/numerics.md has
the figures: PyTorch in fp32 is as far from itself in fp64."""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine spinning threads wait for each other
import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import parity_peer as peer  # noqa: E402

NETS = {"alexnet": 4, "alexnet_2gpu": 4, "alexnet_torchvision": 4, "vgg16": 2, "resnet18": 4, "resnet50": 4, "resnet152": 2, "googlenet": 4,
        "squeezenet1_1": 4}  # images: enough for statistics of a batch, few enough for minutes
LOGITS, GRADIENTS, FLIPS = 1e-4, 1e-3, 1e-5
CLASSES, SIDE, SIDES = 1000, 224, {"alexnet": 227, "alexnet_2gpu": 227}


def draw_weights(net, draw):
    """He's initialisation; small biases; the last scale of a residual branch small, so that depth does not amplify."""
    last = {id(norm) for norm in peer.last_norms(net)}
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.weight.normal_(0, math.sqrt(2 / module.weight[0].numel()), generator=draw)
                if module.bias is not None:
                    module.bias.uniform_(-0.1, 0.1, generator=draw)
            elif isinstance(module, nn.BatchNorm2d):
                scale = 0.25 if id(module) in last else 1.0
                module.weight.uniform_(0.8 * scale, 1.2 * scale, generator=draw)
                module.bias.uniform_(-0.2 * scale, 0.2 * scale, generator=draw)


def draw_statistics(net, images, draw):
    """Running statistics near those of another batch, as training leaves them: inference is a real test then."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    net.train()
    with torch.no_grad():
        if norms:
            net(images)
        for norm in norms:
            shift = torch.empty_like(norm.running_mean).uniform_(-0.2, 0.2, generator=draw)
            norm.running_mean += shift * norm.running_var.sqrt()
            norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.7, 1.4, generator=draw)


class Case:
    """A net with its weights and batch, in files for strata."""

    def __init__(self, arguments, name, folder):
        draw = torch.Generator().manual_seed(arguments.seed)
        count = arguments.batch or NETS[name]
        self.name, self.strata, self.side = name, arguments.strata, SIDES.get(name, SIDE)
        self.net = peer.build(name, CLASSES)
        draw_weights(self.net, draw)
        draw_statistics(self.net, torch.randn(count, 3, self.side, self.side, generator=draw), draw)
        self.images = torch.randn(count, 3, self.side, self.side, generator=draw)
        self.labels = torch.randint(CLASSES, (count,), generator=draw)
        self.weights, self.batch, self.out = (os.path.join(folder, f"{part}.safetensors")
                                              for part in ("weights", "batch", "trace"))
        peer.write_safetensors(self.weights, peer.state(self.net))
        peer.write_safetensors(self.batch, {"images": self.images.numpy(), "labels": self.labels.numpy()})

    def trace(self, mode, *more):
        subprocess.run([self.strata, "trace", self.name, "--set", f"image={self.side}", "--weights", self.weights,
                        "--batch", self.batch, "--out", self.out, "--mode", mode, "--quiet", *more], check=True)
        return peer.read_safetensors(self.out)

    def rectifiers_and_values(self, mode):
        """Every result of strata, and those of its rectifiers in order."""
        text = subprocess.run([self.strata, "describe", self.name, "--json", *(["--train"] if mode == "train" else [])],
                              check=True, capture_output=True, text=True).stdout
        values = self.trace(mode, "--activations")
        rectifiers = [layer["name"] for layer in json.loads(text)["layers"] if layer["op"] == "relu"]
        return [values[name] for name in rectifiers], values

    def agreed(self, mode):
        """PyTorch once more, with strata's decisions where the two differ."""
        rectified, values = self.rectifiers_and_values(mode)
        kinks = peer.Kinks(rectified, values.values())
        with peer.decided_as(kinks):
            reference = peer.run(self.net, self.images, self.labels, mode == "train")
        return reference, kinks.differing, kinks.count


def worst_of(errors):
    name = max(errors, key=errors.get)
    return name, errors[name]


def compare(case, mode):
    begin = time.time()
    ours = {name: np.array(tensor) for name, tensor in case.trace(mode, "--gradients").items()}
    reference = peer.run(case.net, case.images, case.labels, mode == "train")
    row = {"net": case.name, "mode": mode, "images": len(case.labels), "tensors": len(reference),
           "missing": sorted(set(reference) ^ set(ours))}
    if row["missing"]:
        return {**row, "passed": False}
    errors = {name: peer.relative_error(ours[name], reference[name]) for name in reference}
    forward = {name: errors.pop(name) for name in list(errors) if "logits" in name or name == "loss"}
    row["logits"] = max(forward.values())
    row["worst"], row["gradients"] = worst_of(errors)
    row["passed"] = row["logits"] <= LOGITS and row["gradients"] <= GRADIENTS
    if row["logits"] <= LOGITS and row["gradients"] > GRADIENTS:
        agreed, row["flips"], row["decisions"] = case.agreed(mode)
        row["worst_agreed"], row["agreed"] = worst_of(
            {name: peer.relative_error(ours[name], agreed[name]) for name in errors})
        row["passed"] = row["agreed"] <= GRADIENTS and row["flips"] <= FLIPS * row["decisions"]
    row["seconds"] = time.time() - begin
    return row


def show(row):
    start = f"{row['net']:20} {row['mode']:5} {row['images']:2}  {row['tensors']:5}  "
    if row["missing"]:
        print(start + f"only on one side: {', '.join(row['missing'])}")
        return
    flips = f"{row['flips']:4} of {row['decisions'] / 1e6:.1f} M  {row['agreed']:.1e}" if "flips" in row else ""
    print(start + f"{row['logits']:.1e}  {row['gradients']:.1e}  {flips:25}{row['seconds']:5.0f} s  "
          + ("" if row["passed"] else f"FAILED, worst {row.get('worst_agreed', row['worst'])}"), flush=True)


def make_parser(about, nets):
    """What this comparison is asked with, and parity_published.py's."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("strata", help="the program")
    parser.add_argument("--nets", default=",".join(nets))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="append a line for each row to this file")
    return parser


def record(row, path):
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def verdict(failed):
    """Says it; the exit status."""
    print("parity holds" if failed == 0 else f"{failed} of these do not agree")
    return 1 if failed else 0


def main():
    parser = make_parser(__doc__, NETS)
    parser.add_argument("--batch", type=int, help="images (2 to 4, by net)")
    arguments = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    print(f"against PyTorch {torch.__version__}, relative error of the worst tensor: logits at most {LOGITS:g}, "
          f"gradients at most {GRADIENTS:g}\n"
          f"{'net':20} {'mode':5} {'N':>2}  tensors  logits  gradients  flips, gradients without them", flush=True)
    failed = 0
    for name in arguments.nets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            case = Case(arguments, name, folder)
            for mode in ("train", "infer"):
                row = compare(case, mode)
                show(row)
                failed += not row["passed"]
                record(row, arguments.json)
    return verdict(failed)


if __name__ == "__main__":
    sys.exit(main())
