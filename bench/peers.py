"""Whole networks beside PyTorch and ONNX Runtime, on the same cores, in the same run.

usage: peers.py STRATA WORK [--rounds N] [--only PART,PART...] [--threads T] [--docs FILE]

Each line of the list below is one net, one mode, one batch. All programs stay loaded and take turns, one run each, so
that a busy neighbour slows all of them; the best of N rounds (5) counts. PyTorch runs in both layouts of memory, NCHW
and channels_last, and the better one is compared. What is not installed is left out and said. With --docs the tables go
between the two marks of that file.
"""

import argparse
import json
import os
import subprocess
import sys
import time

# strata's name, PyTorch's name
TRAIN = [("resnet18", 32), ("resnet50", 32), ("vgg16", 32), ("googlenet", 32), ("alexnet_torchvision", 32),
         ("resnet20_cifar", 128)]
INFER = ["resnet18", "resnet50", "vgg16", "googlenet", "alexnet_torchvision"]
HERE = os.path.dirname(os.path.abspath(__file__))
BEGIN, END = "<!-- peers: written by make bench -->\n", "<!-- end of peers -->\n"


class Peer:
    """A program that runs once for each line."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, env=dict(os.environ, **(env or {})))
        self.best = None
        self.is_there = self.process.stdout.readline().strip() == "ready"

    def run(self):
        if self.is_there:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline().strip()
            self.is_there = bool(line)
            if line:
                self.best = min(float(line), self.best or 1e9)
            time.sleep(0.3)  # its threads may spin on for a while

    def end(self):
        self.process.stdin.close()
        line = self.process.stdout.readline().strip()
        self.process.wait()
        return int(line) if line else 0


class Strata:
    def __init__(self, program, net, mode, batch, threads):
        self.command = [program, "bench", net, "--batch", str(batch), "--threads", str(threads), "--json"]
        self.command += ["--train"] if mode == "train" else []
        self.batch, self.best, self.share, self.memory, self.peak, self.reading = batch, None, 0, 0, 0, 0

    def run(self, seconds):
        repeats = max(1, min(20, int(seconds / self.best))) if self.best else 1
        out = json.loads(subprocess.run(self.command + ["--repeats", str(repeats)], stdout=subprocess.PIPE, check=True).stdout)
        self.best = min(self.batch / out["images_per_s"], self.best or 1e9)
        self.gflops = max(out["gflops"], getattr(self, "gflops", 0))
        self.peak = max(self.peak, out["peak_gflops"])
        self.reading = max(self.reading, out["memory_gbytes_per_s"])
        self.memory = max(self.memory, out["peak_rss_mb"])


def measure(options, net, mode, batch, peers):
    strata = Strata(options.strata, net, mode, batch, options.threads)
    for _ in range(options.rounds):
        strata.run(1.0)
        for peer in peers.values():
            peer.run()
    memory = {name: peer.end() for name, peer in peers.items()}
    return strata, {name: (peer.best, memory[name]) for name, peer in peers.items() if peer.best}


def torch_peers(options, net, mode, batch):
    command = [sys.executable, os.path.join(HERE, "torch_peer.py"), net, mode, str(batch)]
    return {layout: Peer(command + [layout, str(options.threads)]) for layout in ("nchw", "nhwc")}


def export(options, net):
    """The net with random weights as ONNX, once."""
    path = os.path.join(options.work, net + ".onnx")
    if not os.path.exists(path):
        subprocess.run([sys.executable, os.path.join(HERE, "export_onnx.py"), net, path], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
    return path


def rate(batch, seconds):
    value = batch / seconds
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def is_wanted(options, name):
    return not options.only or any(part in name for part in options.only.split(","))


def train_rows(options, note):
    rows = ["| training | strata images/s | of the peak | PyTorch images/s (layout) | strata is | memory MB | PyTorch's MB |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for net, batch in TRAIN:
        if not is_wanted(options, f"train {net}"):
            continue
        strata, peers = measure(options, net, "train", batch, torch_peers(options, net, "train", batch))
        note(strata)
        row = [f"{net}, batch {batch}", rate(batch, strata.best), f"{100 * strata.gflops / strata.peak:.0f}%"]
        if peers:
            layout = min(peers, key=lambda name: peers[name][0])
            best, memory = peers[layout]
            row += [f"{rate(batch, best)} ({layout})", f"{best / strata.best:.2f} times", f"{strata.memory:,.0f}",
                    f"{memory / 2**20:,.0f}"]
        else:
            row += ["not here", "", f"{strata.memory:,.0f}", ""]
        rows.append("| " + " | ".join(row) + " |")
        print(rows[-1], flush=True)
    return rows


def infer_rows(options, note):
    rows = ["| inference | strata images/s | of the peak | ONNX Runtime images/s | strata is | PyTorch images/s (layout) |",
            "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for net in INFER:
        for batch in (1, 32):
            if not is_wanted(options, f"infer {net}"):
                continue
            peers = torch_peers(options, net, "infer", batch)
            peers["ort"] = Peer(["node", os.path.join(HERE, "ort_peer.js"), export(options, net), str(batch),
                                 str(options.threads)], {"NODE_PATH": os.path.join(options.work, "node_modules")})
            strata, found = measure(options, net, "infer", batch, peers)
            note(strata)
            row = [f"{net}, batch {batch}", rate(batch, strata.best), f"{100 * strata.gflops / strata.peak:.0f}%"]
            ort = found.pop("ort", None)
            row += [rate(batch, ort[0]), f"{ort[0] / strata.best:.2f} times"] if ort else ["not here", ""]
            layout = min(found, key=lambda name: found[name][0]) if found else None
            row += [f"{rate(batch, found[layout][0])} ({layout})" if layout else "not here"]
            rows.append("| " + " | ".join(row) + " |")
            print(rows[-1], flush=True)
    return rows


def versions(options):
    ask = "import torch; print('PyTorch', torch.__version__)"
    torch = subprocess.run([sys.executable, "-c", ask], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
    package = os.path.join(options.work, "node_modules", "onnxruntime-node", "package.json")
    ort = "ONNX Runtime " + json.load(open(package))["version"] if os.path.exists(package) else "no ONNX Runtime"
    return f"{torch or 'no PyTorch'}, {ort}"


def machine():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("strata")
    parser.add_argument("work")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", default="")
    parser.add_argument("--docs", default="")
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    seen = {"peak": 0, "reading": 0}

    def note(strata):
        seen["peak"], seen["reading"] = max(seen["peak"], strata.peak), max(seen["reading"], strata.reading)

    rows = train_rows(options, note) + [""] + infer_rows(options, note)
    head = [f"{machine()}, {options.threads} threads; {versions(options)}; f32; best of {options.rounds} alternating rounds,",
            f"{time.strftime('%Y-%m-%d')}; peak {seen['peak']:.0f} GFLOP/s, memory {seen['reading']:.0f} GB/s, the best"
            " measured between the runs.", ""]
    print("\n".join(head))
    if options.docs:
        text = open(options.docs).read()
        before, rest = text.split(BEGIN)
        after = rest.split(END)[1]
        with open(options.docs, "w") as out:
            out.write(before + BEGIN + "\n".join(head + rows) + "\n" + END + after)


main()
