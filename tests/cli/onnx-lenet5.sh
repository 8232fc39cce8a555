# A LeNet-5 that no one here made: 9,913 of MNIST's 10,000.
model=$STRATA_TEST_DATA/weights/lenet5-mnist.onnx
[ -f "$model" ] && [ -d "$STRATA_TEST_DATA/mnist" ] || { echo 'no lenet5-mnist.onnx and MNIST in STRATA_TEST_DATA'; exit 77; }
strata describe "$model" 2>&1 | grep -q 'built without protobuf-c' && echo 'built without protobuf-c' && exit 77
strata eval "$model" --data "$STRATA_TEST_DATA/mnist" --preprocess 'mean=[0.1307] std=[0.3081]' --json > eval.json
grep -o '"count": 10000, "correct": [0-9]*' eval.json
