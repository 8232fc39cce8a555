#!/bin/sh
# A head is no worse than a logistic regression on the same features that somebody else's code computes: SqueezeNet from
# ImageNet, photographs of ants and bees, where the test data is there.
set -u
build=${BUILD:-build}
here=$(cd "$(dirname "$0")" && pwd)
known=${STRATA_TEST_DATA:-$here/../../shared/data}
weights=$known/weights/squeezenet1_1.f16.safetensors
python=${PYTHON:-/usr/bin/python3}
skip() {
    echo "skip logistic-regression: $1"
    exit 0
}
[ -r "$weights" ] || skip 'no weights of SqueezeNet in STRATA_TEST_DATA'
[ -d "$known/hymenoptera" ] || skip 'no pictures of ants and bees in STRATA_TEST_DATA'
"$python" -c 'import numpy' 2> /dev/null || skip 'no python3-numpy'
"$build/strata" --version | grep -q libjpeg || skip 'built without libjpeg'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
mkdir "$work/photos"
tar -xf "$known"/hymenoptera/*.tar -C "$work/photos" || skip 'tar does not unpack them'
for seed in 1 2 3; do
    XDG_CACHE_HOME=$work/cache "$build/strata" finetune squeezenet1_1 --weights "$weights" --data "$work/photos" --train head \
        --epochs 30 --seed "$seed" --out "$work/run" --force --json > "$work/seed$seed.json" 2> "$work/said" ||
        { echo "FAIL logistic-regression: $(tail -n 1 "$work/said")"; exit 1; }
done
"$python" "$here/logistic_regression.py" "$work/cache/strata/features" "$work/photos" "$work"/seed*.json
