# shellcheck shell=sh disable=SC2034
# What the fault tests share; read by run.sh and disk.sh, not run. Sets work, strata, data and reference (the weights of
# a training that nothing disturbed), and leaves half of that training in $work/half.
set -u
build=$(cd "${BUILD:-build}" && pwd)
strata=${STRATA_RELEASE:-$build/strata}
shim=$build/tests/shim.so
status=0
unset ASAN_OPTIONS UBSAN_OPTIONS
work=$(mktemp -d "${TMPDIR:-/tmp}/strata-faults-XXXXXX")
data=$work/data
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

pass() { echo "ok $1"; }
fail() {
    echo "FAIL $1: $2"
    status=1
}
weights_of() { grep -o '"weights_sha256": *"[0-9a-f]*"' "$1" | tail -n 1; }

sh tests/make-idx "$data" 160 32
# $1 of both: words to put before the command (env, timeout), or ''.
train() { # words, run folder
    # shellcheck disable=SC2086
    $1 "$strata" train lenet5 --data "$data" --epochs 2 --batch 16 --val none --threads 2 --json --out "$2"
}
resume() { # words, run folder
    # shellcheck disable=SC2086
    $1 "$strata" train --resume "$2" --threads 2 --json
}
train '' "$work/whole" > "$work/whole.json" 2> "$work/whole.err" || {
    cat "$work/whole.err"
    fail faults/train 'fails without a fault'
    exit 1
}
reference=$(weights_of "$work/whole.json")

# Half a training: from the middle rename on, every one fails.
train "env LD_PRELOAD=$shim FAULT_CALL=rename FAULT_COUNT=$work/renames" "$work/counted" > "$work/out" 2>&1
renames=$(cat "$work/renames")
train "env LD_PRELOAD=$shim FAULT_CALL=rename FAULT_FOREVER=1 FAULT_N=$((renames / 2 + 1))" "$work/half" \
    > "$work/half.json" 2> "$work/half.err"
[ -f "$work/half/last.safetensors" ] || {
    cat "$work/half.err"
    fail faults/half 'a training whose later renames fail leaves no earlier checkpoint'
    exit 1
}
