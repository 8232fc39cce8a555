# Into ONNX and out of it; where the build reads ONNX.
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 1 --batch 16 --threads 1 --quiet --out run > train.txt
strata convert run a.onnx --check small > said.txt 2>&1
if grep -q protobuf said.txt; then
    echo 'this build reads no ONNX'
    exit 77
fi
plain() { sed 's/; [0-9.]* K*B$/; N/; s/"bytes": [0-9]*/"bytes": N/; s/"peak_rss_bytes": [0-9]*/"peak_rss_bytes": P/'; }
plain < said.txt
strata convert run a.onnx --json | plain
strata convert a.onnx b.net | plain
sed 1d b.net
strata convert run c.safetensors --quiet
strata diff c.safetensors b.safetensors --rtol 0 | tail -n 2
strata eval a.onnx --data small --quiet > onnx.txt
strata eval run --data small --quiet > run.txt
cmp onnx.txt run.txt && echo 'the same answers'
