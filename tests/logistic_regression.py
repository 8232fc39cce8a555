#!/usr/bin/env python3
"""Is a head that strata trained as good as a logistic regression on the same features? logistic-regression.sh runs it.

    XDG_CACHE_HOME=/tmp/lr strata finetune squeezenet1_1 --weights W --data D --train head --out RUN --json > run.json
    tests/logistic_regression.py /tmp/lr/strata/features D run.json...

Reads the two tables of features that the run has kept (train and val), averages each over its positions, and fits a
softmax regression with an L2 penalty by full-batch gradient descent with Nesterov's momentum to convergence, for several
penalties; the one with the best val accuracy counts, which favours the regression. A table has the pictures of a part in
strata's order: class by class in turn, the first of each, then the second, as docs/data.md says.
"""
import json
import os
import sys

import numpy as np


def read_table(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(length))
        entry = head["features"]
        begin, end = entry["data_offsets"]
        file.seek(8 + length + begin)
        values = np.frombuffer(file.read(end - begin), dtype="<f4").reshape(entry["shape"])
    return values.astype(np.float64).mean(axis=(1, 2))


def labels_of(folder):
    classes = sorted(os.listdir(folder), key=os.fsencode)
    left = [len(os.listdir(os.path.join(folder, name))) for name in classes]
    labels = []
    while any(left):
        for index, count in enumerate(left):
            if count > 0:
                labels.append(index)
                left[index] -= 1
    return np.array(labels)


def fit(x, y, penalty, most=2000, still=1e-6):
    n, d = x.shape
    k = int(y.max()) + 1
    truth = np.eye(k)[y]
    weights = np.zeros((d + 1, k))
    speed = np.zeros_like(weights)
    x1 = np.hstack([x, np.ones((n, 1))])
    rate = 1.0 / (0.5 * np.linalg.norm(x1, 2) ** 2 / n + penalty)
    decay = np.full((d + 1, 1), penalty)
    decay[-1] = 0
    for step in range(most):
        ahead = weights + step / (step + 3) * speed
        scores = x1 @ ahead
        scores -= scores.max(axis=1, keepdims=True)
        p = np.exp(scores)
        p /= p.sum(axis=1, keepdims=True)
        new = ahead - rate * (x1.T @ (p - truth) / n + decay * ahead)
        speed, weights = new - weights, new
        if np.abs(speed).max() < still:
            break
    return weights


def main():
    cache, data, runs = sys.argv[1], sys.argv[2], sys.argv[3:]
    tables = [read_table(os.path.join(cache, name)) for name in os.listdir(cache) if name.endswith(".safetensors")]
    train_y, val_y = labels_of(os.path.join(data, "train")), labels_of(os.path.join(data, "val"))
    train_x = next(t for t in tables if len(t) == len(train_y))
    val_x = next(t for t in tables if len(t) == len(val_y))
    mean, deviation = train_x.mean(axis=0), train_x.std(axis=0) + 1e-9
    train_x, val_x = (train_x - mean) / deviation, (val_x - mean) / deviation
    best = 0.0
    for penalty in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        weights = fit(train_x, train_y, penalty)
        right = ((np.hstack([val_x, np.ones((len(val_x), 1))]) @ weights).argmax(axis=1) == val_y).mean()
        print(f"penalty {penalty:g}: val {right:.4f}")
        best = max(best, right)
    failed = False
    for run in runs:
        with open(run, encoding="utf-8") as file:
            head = json.loads(file.read().strip().splitlines()[-1])["val_top1"]
        failed = failed or head < best
        word = "ok" if head >= best else "FAIL"
        name = os.path.splitext(os.path.basename(run))[0]
        print(f"{word} logistic-regression, {name}: logistic regression {best:.4f}, head of strata {head:.4f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
