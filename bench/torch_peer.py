"""PyTorch's side of bench/peers.py: one net, one batch, one layout of memory, run once for each line on stdin.

usage: torch_peer.py NET train|infer BATCH nchw|nhwc THREADS

Prints "ready"; then for each line read the seconds of one run; at the end of input the peak memory of this process in
bytes. A run is what `strata bench` times: a forward pass, or forward, backward and SGD with momentum.
"""

import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class BasicA(nn.Module):
    """A residual block of He et al. 2015 for CIFAR-10 with the shortcut without weights (option A)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.more = stride, outputs - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return F.relu(y + x)


def resnet_cifar(n):
    layers, inputs = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for outputs in (16, 32, 64):
        for block in range(n):
            layers.append(BasicA(inputs, outputs, 2 if outputs > 16 and block == 0 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)), 32, 10


def make(name):
    if name.endswith("_cifar"):
        return resnet_cifar((int(name[len("resnet") : -len("_cifar")]) - 2) // 6)
    import torchvision

    models = torchvision.models
    if name == "googlenet":
        return models.googlenet(aux_logits=True, init_weights=False, transform_input=False), 224, 1000
    return getattr(models, name.replace("_torchvision", ""))(), 224, 1000


def main():
    name, mode, batch, layout, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
    torch.set_num_threads(threads)
    model, side, classes = make(name)
    x, y = torch.randn(batch, 3, side, side), torch.randint(0, classes, (batch,))
    if layout == "nhwc":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    if mode == "train":
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), 1e-6, momentum=0.9, weight_decay=1e-4)

        def run():
            optimizer.zero_grad(set_to_none=True)
            out = model(x)
            if isinstance(out, tuple):  # GoogLeNet: the logits, then those of the auxiliary heads
                loss = F.cross_entropy(out[0], y) + 0.3 * sum(F.cross_entropy(o, y) for o in out[1:])
            else:
                loss = F.cross_entropy(out, y)
            loss.backward()
            optimizer.step()

    else:
        model.eval()

        def run():
            with torch.inference_mode():
                model(x)

    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        begin = time.perf_counter()
        run()
        print(time.perf_counter() - begin, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)


main()
