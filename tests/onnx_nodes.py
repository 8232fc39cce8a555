#!/usr/bin/python3
"""The ONNX project's own tests of single operators (Debian: libonnx-testdata), through strata.

    onnx_nodes.py STRATA FOLDER [--table]     FOLDER: of test_*/model.onnx

A test has a model of one node, inputs and outputs. The first input becomes the net's, all others become weights, as they
are in a classifier; then `strata trace` has to give the recorded output. A case that strata does not serve is refused
with a reason, and the reason is counted; a wrong answer is a failure. --table writes the table of docs/formats.md."""
import collections
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

import numpy
import onnx
from onnx import numpy_helper

JOINS = ("Add", "Concat", "Mul", "Sub", "Sum")
CLAIMED = """Add AveragePool BatchNormalization Cast Clip Concat Constant Conv Div Dropout Equal Flatten Gemm GlobalAveragePool
GlobalMaxPool HardSigmoid HardSwish Identity If LRN LeakyRelu LogSoftmax MatMul MaxPool Mul Pad Pow ReduceMean Relu Reshape
Sigmoid Slice Softmax Squeeze Sub Sum Tanh Transpose Unsqueeze""".split()


def tensor(path):
    with open(path, "rb") as file:
        return numpy_helper.to_array(onnx.TensorProto.FromString(file.read()))


def save(path, images):
    head = json.dumps({"images": {"dtype": "F32", "shape": images.shape, "data_offsets": [0, images.nbytes]}}).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head + images.tobytes())


def load(path, name):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8 : 8 + length])[name]
    begin, end = entry["data_offsets"]
    return numpy.frombuffer(data[8 + length + begin : 8 + length + end], "<f4").reshape(entry["shape"])


def as_images(array):
    """[N,C,H,W]; strata sees [N,C] as vectors and [N,C,L] as one row."""
    if array.ndim in (2, 3):
        return array.reshape(array.shape[:2] + ((1, 1) if array.ndim == 2 else (1, array.shape[2])))
    return array


def join(graph, inputs):
    """Values that are joined come out of one picture: each is some of its channels, chosen by a 1x1 convolution."""
    for attribute in graph.node[0].attribute:
        if attribute.name == "axis" and attribute.i < 0:
            attribute.i += inputs[0].ndim
    channels = inputs[0].shape[1]
    images = numpy.concatenate([as_images(value) for value in inputs], axis=1)
    for i, info in enumerate(graph.input):
        weight = numpy.zeros((channels, images.shape[1], 1, 1), numpy.float32)
        weight[range(channels), range(i * channels, (i + 1) * channels)] = 1
        graph.initializer.append(numpy_helper.from_array(weight, "choose_%d" % i))
        graph.node.insert(0, onnx.helper.make_node("Conv", ["all"], [info.name], name="choice"))
        graph.node[0].input.append("choose_%d" % i)
    del graph.input[:]
    graph.input.append(onnx.helper.make_tensor_value_info("all", onnx.TensorProto.FLOAT, images.shape))
    return images


def run(strata, folder, scratch):
    """None: passed; else (is wrong, why)."""
    model = onnx.load(os.path.join(folder, "model.onnx"))
    data = os.path.join(folder, "test_data_set_0")
    graph = model.graph
    node = graph.node[0]
    kinds = [value.type.WhichOneof("value") for value in list(graph.input) + list(graph.output)[:1]]
    if set(kinds) != {"tensor_type"}:
        return False, "of sequences"
    inputs = [tensor(os.path.join(data, "input_%d.pb" % i)) for i in range(len(graph.input))]
    wanted = tensor(os.path.join(data, "output_0.pb"))
    if not inputs:
        return False, "without an input"
    if inputs[0].dtype != numpy.float32 or wanted.dtype != numpy.float32:
        return False, "not of 32-bit numbers"
    if inputs[0].ndim < 2 or inputs[0].ndim > 4:
        return False, "of %d sides" % inputs[0].ndim
    images = inputs[0]
    if node.op_type in JOINS and len(inputs) > 1 and len({value.shape for value in inputs}) == 1:
        images = join(graph, inputs)
    else:
        for info, value in list(zip(graph.input, inputs))[1:]:
            graph.initializer.append(numpy_helper.from_array(value, info.name))
    version = model.opset_import[0].version
    if version < 7 and onnx.defs.get_schema(node.op_type, 7).since_version == version:
        model.opset_import[0].version = 7  # the same operator, in the oldest set that is read
    path, batch, out = (os.path.join(scratch, name) for name in ("model.onnx", "b", "t"))
    onnx.save(model, path)
    if node.op_type == "Transpose" and list(node.attribute[0].ints if node.attribute else []) == [0, 3, 1, 2]:
        images = numpy.transpose(images, (0, 3, 1, 2))  # strata's batches are always [N,C,H,W]
    save(batch, numpy.ascontiguousarray(as_images(images)))
    command = [strata, "trace", path, "--batch", batch, "--out", out, "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return False, reason(done.stderr, path)
    found = load(out, "logits")
    left_out = node.op_type == "LogSoftmax" or (node.op_type == "Softmax" and wanted.ndim == 2)
    if left_out:  # at the end of a net: its output is logits
        found = found - found.max(axis=1, keepdims=True)
        found = found - numpy.log(numpy.exp(found).sum(axis=1, keepdims=True))
        found = numpy.exp(found) if node.op_type == "Softmax" else found
    if found.size != wanted.size:
        return True, "%s numbers, expected %s" % (found.shape, wanted.shape)
    difference = numpy.abs(found.reshape(wanted.shape) - wanted).max() if wanted.size else 0
    limit = 1e-5 * max(1.0, numpy.abs(wanted).max())
    return None if difference <= limit else (True, "off by %g" % difference)


def reason(text, path):
    text = text.strip().splitlines()[0].replace("strata: ", "").replace(path + ": ", "")
    text = re.sub(r"it needs what strata has not: ", "", text)
    text = re.sub(r" \((node|layer) [^)]*\)", "", text)
    text = re.sub(r"node 0 \([^)]*\): ", "", text)
    return re.sub(r"'[^']*' ", "", text)


def main():
    strata, folder = sys.argv[1], sys.argv[2]
    passed, wrong, kept = collections.Counter(), [], collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as scratch:
        for name in sorted(os.listdir(folder)):
            model = os.path.join(folder, name, "model.onnx")
            if not os.path.exists(model):
                continue
            graph = onnx.load(model).graph
            if len(graph.node) != 1 or graph.node[0].op_type not in CLAIMED:
                continue
            operator = graph.node[0].op_type
            result = run(strata, os.path.join(folder, name), scratch)
            if result is None:
                passed[operator] += 1
            elif result[0]:
                wrong.append("%s: %s" % (name, result[1]))
            else:
                kept[operator][result[1]] += 1
    operators = sorted(set(passed) | set(kept))
    if "--table" in sys.argv:
        print("| operator | passed | not served | because |\n| --- | --: | --: | --- |")
        for operator in operators:
            reasons = "; ".join("%d %s" % (count, text) for text, count in kept[operator].most_common())
            print("| %s | %d | %d | %s |" % (operator, passed[operator], sum(kept[operator].values()), reasons))
    for line in wrong:
        print("WRONG", line)
    print("onnx nodes: %d passed, %d not served, %d wrong, of %d operators" %
          (sum(passed.values()), sum(sum(c.values()) for c in kept.values()), len(wrong), len(operators)))
    return 1 if wrong or not passed else 0


sys.exit(main())
