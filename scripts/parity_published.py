"""Files that PyTorch writes, read by strata: classifiers at published size, torchvision's and AlexNet, with drawn
weights, saved by torch.save in its zip and its legacy form and by torch.onnx.export, and the numbers before softmax
compared with PyTorch's. `make parity` calls it.

    parity_published.py STRATA [--nets NAME,NAME...] [--opsets 9,11,13,17] [--batch N] [--seed S] [--json FILE]

One of the two .pth files is a state_dict, the other a checkpoint of a training: the state_dict, with `module.` before
every name, among other things. Each opset is exported twice: `folded` as the exporter does it by default, batch norms
inside of the convolutions; `plain` with every node of the model, no constants folded and any number of images. The
.pth files are given to the zoo's net; where the zoo has none, to the .net that strata makes of the plain ONNX file,
mapped by their order where it cannot keep the names.

The error is the norm of the difference over the norm of PyTorch's numbers."""
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np  # noqa: E402
import torch  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import parity_peer as peer  # noqa: E402
from parity import SIDES, draw_statistics, draw_weights, make_parser, record, verdict  # noqa: E402

ZOO = ("alexnet", "alexnet_torchvision", "vgg11", "vgg16_bn", "resnet18", "resnet34", "resnet50", "resnet101", "googlenet",
       "squeezenet1_1")
OTHERS = ("mobilenet_v2", "mnasnet1_0", "efficientnet_b0")
NETS = ZOO + OTHERS
OPSETS = "9,11,13,17"
LOGITS = 1e-4
CLASSES, SIDE = 1000, 224


class Refused(Exception):
    """strata did not take a file; its words."""


class Case:
    """A net with its weights, a batch, and PyTorch's answers."""

    def __init__(self, arguments, name, folder):
        torch.manual_seed(arguments.seed)
        draw = torch.Generator().manual_seed(arguments.seed)
        self.name, self.strata, self.folder, self.by_order = name, arguments.strata, folder, False
        self.net = peer.build(name, CLASSES)
        draw_weights(self.net, draw)
        self.side = SIDES.get(name, SIDE)
        draw_statistics(self.net, torch.randn(arguments.batch, 3, self.side, self.side, generator=draw), draw)
        self.images = torch.randn(arguments.batch, 3, self.side, self.side, generator=draw)
        self.net.eval()
        with torch.no_grad():
            self.reference = self.net(self.images).numpy()
        self.batch, self.out = self.path("batch.safetensors"), self.path("trace.safetensors")
        peer.write_safetensors(self.batch, {"images": self.images.numpy()})

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *words):
        done = subprocess.run([self.strata, *words, "--quiet"], capture_output=True, text=True)
        if done.returncode != 0:
            raise Refused(done.stderr.strip() or f"exit status {done.returncode}")

    def error(self, *net):
        """What strata says to the batch, beside what PyTorch says."""
        self.run("trace", *net, "--batch", self.batch, "--out", self.out)
        logits = np.array(peer.read_safetensors(self.out)["logits"])
        if logits.shape != self.reference.shape:
            raise Refused(f"logits of {logits.shape}, expected {self.reference.shape}")
        error = peer.relative_error(logits, self.reference)
        return error if error == error else float("inf")

    def export(self, path, opset, plain):
        """plain: PRESERVE keeps the batch norms."""
        mode = torch.onnx.TrainingMode.PRESERVE if plain else torch.onnx.TrainingMode.EVAL
        torch.onnx.export(self.net, self.images, path, opset_version=opset, training=mode,
                          do_constant_folding=not plain, input_names=["images"], output_names=["logits"],
                          dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}} if plain else None)

    def checkpoint(self):
        """What a training script saves, that of the ImageNet example."""
        optimizer = torch.optim.SGD(self.net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
        return {"epoch": 90, "arch": self.name, "best_acc1": torch.tensor(69.758),
                "state_dict": {"module." + name: tensor for name, tensor in self.net.state_dict().items()},
                "optimizer": optimizer.state_dict(),
                "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 30).state_dict()}

    def pth(self, form, nested):
        """The weights in a file of PyTorch's, for the zoo's net or for that of the ONNX file."""
        path = self.path("weights.pth")
        torch.save(self.checkpoint() if nested else self.net.state_dict(), path,
                   _use_new_zipfile_serialization=form == "zip")
        net = [self.name, "--set", f"image={self.side}"]
        if self.name not in ZOO:
            net = [self.path("exported.net")]
            if not os.path.exists(net[0]):
                self.export(self.path("net.onnx"), 13, True)
                self.run("convert", self.path("net.onnx"), net[0], "--no-check")
        try:
            return self.error(*net, "--weights", path)
        except Refused:
            if self.name in ZOO:
                raise
            mapped = self.path("mapped.safetensors")  # a label may not be called `block`: by order
            self.run("convert", path, mapped, "--for", *net, "--map", "order", "--no-check")
            self.by_order = True
            return self.error(*net, "--weights", mapped)
        finally:
            os.remove(path)

    def onnx(self, opset, plain):
        path = self.path("model.onnx")
        self.export(path, opset, plain)
        try:
            return self.error(path)
        finally:
            os.remove(path)


def compare(case, opsets):
    """Errors by form: a number, or the words with which strata refused the file."""
    begin = time.time()
    nested = NETS.index(case.name) % 2 == 0 if case.name in NETS else False
    forms = {"zip": lambda: case.pth("zip", nested), "legacy": lambda: case.pth("legacy", not nested)}
    for opset in opsets:
        for way in ("folded", "plain"):
            forms[f"opset {opset} {way}"] = lambda opset=opset, way=way: case.onnx(opset, way == "plain")
    errors, refused = {}, {}
    for form, ask in forms.items():
        try:
            errors[form] = ask()
        except Refused as why:
            refused[form] = str(why)
    return {"net": case.name, "images": len(case.images), "errors": errors, "refused": refused,
            "by_order": case.by_order, "passed": not refused and max(errors.values()) <= LOGITS,
            "seconds": time.time() - begin}


def show(row, opsets):
    cells = []
    for column in ["zip", "legacy"] + [f"opset {opset} " for opset in opsets]:
        known = [error for form, error in row["errors"].items() if form.startswith(column)]
        is_refused = any(form.startswith(column) for form in row["refused"])
        cells.append("refused " if is_refused else f"{max(known):.1e} ")
    words = ("  .pth by order" if row["by_order"] else "") + ("" if row["passed"] else "  FAILED")
    print(f"{row['net']:20}{' '.join(cells)} {row['seconds']:4.0f} s{words}", flush=True)
    for form, why in row["refused"].items():
        print(f"    {form}: {why}", flush=True)


def main():
    parser = make_parser(__doc__, NETS)
    parser.add_argument("--opsets", default=OPSETS)
    parser.add_argument("--batch", type=int, default=2, help="images (2)")
    arguments = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    opsets = [int(opset) for opset in arguments.opsets.split(",")]
    print(f"files of PyTorch {torch.__version__}, relative error of the logits: at most {LOGITS:g}\n"
          f"{'net':20}{'zip':9}{'legacy':9}" + "".join(f"{f'opset {opset}':9}" for opset in opsets), flush=True)
    failed = 0
    for name in arguments.nets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            row = compare(Case(arguments, name, folder), opsets)
        show(row, opsets)
        failed += not row["passed"]
        record(row, arguments.json)
    return verdict(failed)


if __name__ == "__main__":
    sys.exit(main())
