#!/bin/sh
# The README's hash: one epoch of LeNet-5 over Fashion-MNIST ends in the weights that it names, on every set of kernels
# that this processor runs and for any number of threads. Portable C is slow: there a thousand pictures must do, whose
# hash is compared with the other sets'.
set -u
strata=${STRATA_RELEASE:-build/strata}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if ! [ -d /usr/share/datasets/fashion-mnist ]; then
    echo 'skip hash: the Debian package dataset-fashion-mnist is not installed'
    exit 0
fi
expected=$(LC_ALL=C grep -x '[0-9a-f]\{64\}' README.md)
hash_of() { # options of train
    "$strata" train lenet5 --data fashion-mnist --epochs 1 --val none --out "$folder/run" --force --json "$@" 2> "$folder/err" |
        sed -n 's/.*"weights_sha256": *"\([0-9a-f]*\)".*/\1/p'
}
compare() { # name, found, expected
    if [ -n "$2" ] && [ "$2" = "$3" ]; then
        echo "ok hash/$1"
    else
        echo "FAIL hash/$1: found '$2', expected '$3'"
        cat "$folder/err"
    fi
}
for isa in avx512 avx2; do
    if STRATA_ISA=$isa "$strata" bench lenet5 --batch 1 --quiet > /dev/null 2>&1; then
        compare "epoch-$isa" "$(STRATA_ISA=$isa hash_of)" "$expected"
    else
        echo "skip hash/epoch-$isa: this processor or build lacks $isa"
    fi
done
compare epoch-3-threads "$(hash_of --threads 3)" "$expected"
compare portable "$(STRATA_ISA=portable hash_of --limit 1000)" "$(hash_of --limit 1000 --threads 1)"
