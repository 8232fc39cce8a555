# What is wrong with an ONNX file is said in one line.
cp "$SOURCE"/tests/golden/onnx/residual.onnx .
strata describe residual.onnx 2>&1 | grep -q 'built without protobuf-c' && echo 'built without protobuf-c' && exit 77
head -c 9000 residual.onnx > cut.onnx
strata describe cut.onnx
printf '\010\007\022\001a' > empty.onnx
strata describe empty.onnx
