# ONNX files that PyTorch's exporter wrote: the same answers as PyTorch's, and nets that a person can read.
cp "$SOURCE"/tests/golden/onnx/* .
strata describe --threads 1 residual.onnx 2>&1 | grep -q 'built without protobuf-c' && echo 'built without protobuf-c' && exit 77
for name in residual inception relu6 hard_swish swish plain; do
    strata trace $name.onnx --batch batch.safetensors --out $name.out -q || exit 1
    strata diff $name.out $name.safetensors --rtol 1e-5 > /dev/null && echo "ok $name"
done
strata describe --threads 1 residual.onnx
strata weights inception.onnx
strata convert plain.onnx net.net -q && cat net.net
strata trace net.net --weights net.safetensors --batch batch.safetensors --out again -q
cmp plain.out again && echo 'the same bits'
