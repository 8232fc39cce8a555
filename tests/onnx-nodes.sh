#!/bin/sh
# The ONNX project's own tests of single operators, where Debian's libonnx-testdata is installed.
set -u
build=${BUILD:-build}
folder=${ONNX_NODES:-/usr/share/libonnx-testdata/data/node}
python=${PYTHON:-/usr/bin/python3}
skip() {
    echo "skip onnx-nodes: $1"
    exit 0
}
[ -d "$folder" ] || skip 'no libonnx-testdata'
"$python" -c 'import onnx, numpy' 2> /dev/null || skip 'no python3-onnx'
"$build/strata" describe "$folder/test_relu/model.onnx" 2>&1 | grep -q 'built without protobuf-c' && skip 'built without protobuf-c'
if "$python" "$(dirname "$0")/onnx_nodes.py" "$build/strata" "$folder" > "$build/onnx-nodes.txt" 2>&1; then
    echo "ok $(tail -n 1 "$build/onnx-nodes.txt")"
else
    echo "FAIL onnx-nodes: $(tail -n 3 "$build/onnx-nodes.txt")"
    exit 1
fi
