"""One of torchvision's nets with random weights as ONNX, for ONNX Runtime's side of bench/peers.py.

usage: export_onnx.py NET OUT.onnx
"""

import sys

import torch
import torchvision

name, path = sys.argv[1].replace("_torchvision", ""), sys.argv[2]
options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
model = getattr(torchvision.models, name)(**options).eval()
torch.onnx.export(model, torch.randn(1, 3, 224, 224), path, input_names=["x"], output_names=["y"],
                  dynamic_axes={"x": {0: "n"}, "y": {0: "n"}}, opset_version=13)
