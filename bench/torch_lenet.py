"""The peer: epochs of LeNet-5 on Fashion-MNIST in PyTorch, batch 64, the net of zoo/lenet5.net.

With one thread or two, whichever is faster here by a short trial: on a machine that is shared, two threads of PyTorch
may wait for each other most of the time.

Prints one line: "memory SECONDS" for pictures that lie in memory as one tensor, or "loader SECONDS" through a DataLoader,
as most scripts do. Reading and unpacking the files is not counted; shuffling and training are.

    torch_lenet.py memory|loader [EPOCHS]   the best of EPOCHS (1)
"""
import gzip
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

FOLDER = "/usr/share/datasets/fashion-mnist/"


def idx(name, head):
    with gzip.open(FOLDER + name) as file:
        return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)[head:]


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 6, 5, padding=2)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.c5 = nn.Linear(400, 120)
        self.f6 = nn.Linear(120, 84)
        self.f7 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.avg_pool2d(torch.tanh(self.c1(x)), 2)
        x = F.avg_pool2d(torch.tanh(self.c3(x)), 2)
        x = torch.tanh(self.c5(x.flatten(1)))
        return self.f7(torch.tanh(self.f6(x)))


def batches_in_memory(images, labels, size):
    order = torch.randperm(len(images))
    for start in range(0, len(images), size):
        chosen = order[start:start + size]
        yield images[chosen], labels[chosen]


def step(net, optimizer, x, y):
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()  # as a script that shows its progress does, and as strata does


def faster_thread_count(net, optimizer, x, y):
    seconds = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        trials = []
        for _ in range(8):
            start = time.perf_counter()
            step(net, optimizer, x, y)
            trials.append(time.perf_counter() - start)
        seconds[threads] = min(trials)
    return min(seconds, key=seconds.get)


def main():
    way = sys.argv[1] if len(sys.argv) > 1 else "memory"
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    torch.manual_seed(1)
    images = idx("train-images-idx3-ubyte.gz", 16).view(-1, 1, 28, 28).float() / 255
    labels = idx("train-labels-idx1-ubyte.gz", 8).long()
    net = LeNet5()
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    threads = faster_thread_count(net, optimizer, images[:64], labels[:64])
    torch.set_num_threads(threads)
    best = float("inf")
    for _ in range(epochs):
        start = time.perf_counter()
        if way == "loader":
            data = torch.utils.data.TensorDataset(images, labels)
            source = torch.utils.data.DataLoader(data, 64, shuffle=True)
        else:
            source = batches_in_memory(images, labels, 64)
        for x, y in source:
            step(net, optimizer, x, y)
        best = min(best, time.perf_counter() - start)
    print(f"{way} {best:.3f} with {threads} thread{'s' if threads > 1 else ''}")


main()
