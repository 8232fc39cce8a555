# shellcheck shell=sh disable=SC2034
# What the fault tests share; read by run.sh and disk.sh, not run. Sets work, strata, data and, for one training after
# another (begin_story), reference: the weights of a run that nothing disturbed, and half of that run in $work/half.
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
sh tests/make-cifar "$work/pictures" 60 20 sizes
cat > "$work/small.net" << 'END'
network small {
    input 32x32x3
    conv 5x5 12, tanh
    avgpool 2x2 stride=2
    conv 3x3 24, bn, relu
    avgpool global
    fc 10
    output logits loss=cross_entropy
}
END
export XDG_CACHE_HOME="$work/cache"
story=idx # which training it is: idx; pictures of many sizes, augmented; finetune, a part of a net on those
# $1 of both: words to put before the command (env, timeout), or ''.
train() { # words, run folder
    common='--epochs 2 --batch 16 --threads 2 --json'
    # shellcheck disable=SC2086
    case $story in
    idx) $1 "$strata" train lenet5 --data "$data" --val none $common --out "$2" ;;
    pictures) $1 "$strata" train "$work/small.net" --data "$work/pictures" --augment imagenet $common --out "$2" ;;
    finetune) $1 "$strata" finetune "$work/base" --data "$work/pictures" --augment imagenet --train 3 4 7 --thaw 1 \
        --variants 2 $common --out "$2" ;;
    esac
}
resume() { # words, run folder
    # shellcheck disable=SC2086
    $1 "$strata" train --resume "$2" --threads 2 --json
}
# Makes $work/whole, a training that nothing disturbs, and $work/half: from the middle rename on, every one fails.
begin_story() { # idx, pictures or finetune
    story=$1
    rm -rf "$work/whole" "$work/counted" "$work/half" "$work/cache"
    [ $story != finetune ] ||
        "$strata" train "$work/small.net" --data "$work/pictures" --epochs 1 --quiet --force --out "$work/base" > "$work/out"
    train '' "$work/whole" > "$work/whole.json" 2> "$work/whole.err" || {
        cat "$work/whole.err"
        fail "faults/$story" 'fails without a fault'
        exit 1
    }
    reference=$(weights_of "$work/whole.json")
    train "env LD_PRELOAD=$shim FAULT_CALL=rename FAULT_COUNT=$work/renames" "$work/counted" > "$work/out" 2>&1
    renames=$(cat "$work/renames")
    train "env LD_PRELOAD=$shim FAULT_CALL=rename FAULT_FOREVER=1 FAULT_N=$((renames / 2 + 1))" "$work/half" \
        > "$work/half.json" 2> "$work/half.err"
    [ -f "$work/half/last.safetensors" ] || {
        cat "$work/half.err"
        fail "faults/half-$story" 'a training whose later renames fail leaves no earlier checkpoint'
        exit 1
    }
}
begin_story idx
