#!/bin/sh
# A run that is killed with SIGKILL at twenty pseudo-random moments and resumed each time ends in the same weights as one
# that never stopped: STRATA=build/strata tests/cli/kill.sh [KILLS]
set -u
kills=${1:-20}
here=$(cd "$(dirname "$0")" && pwd)
strata=${STRATA:-build/strata}
strata=$(cd "$(dirname "$strata")" && pwd)/$(basename "$strata")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
cd "$work" || exit 1
export XDG_CACHE_HOME="$work/cache"

seconds() { date +%s.%N; }
hash() { sed -n 's/.*"weights_sha256": "\([0-9a-f]*\)".*/\1/p' "$1" | tail -n 1; }

story() { # name, kills, options of a run
    name=$1
    kills=$2
    options="$3 --save-every 0.03 --json"
    rm -rf run whole
    started=$(seconds)
    # shellcheck disable=SC2086
    "$strata" $options --out whole > whole.txt || { echo "FAIL cli/$name: the run that is not killed failed"; exit 1; }
    took=$(awk -v a="$started" -v b="$(seconds)" 'BEGIN { print b - a }')
    wanted=$(hash whole.txt)

    killed=0 finished=0 random=20261124 bad=0
    while [ "$killed" -lt "$kills" ]; do
        random=$((random * 1103515245 % 2147483648 + 12345))
        # A tenth of a run on average: some die while they read, some in an epoch, some while they write.
        moment=$(awk -v r="$random" -v t="$took" 'BEGIN { printf "%.3f", r % 10007 / 10007 * t / 5 }')
        if [ -s run/run.txt ]; then
            "$strata" train --resume run --json > life.txt 2> said.txt &
        else
            # shellcheck disable=SC2086
            "$strata" $options --out run --force > life.txt 2> said.txt &
        fi
        pid=$!
        sleep "$moment"
        kill -KILL $pid 2> /dev/null
        wait $pid 2> /dev/null
        status=$?
        [ $status = 137 ] && killed=$((killed + 1))
        if [ $status -ne 137 ] && [ $status -ne 0 ]; then
            echo "FAIL cli/$name: after $killed kills: exit $status: $(cat said.txt)"
            exit 1
        fi
        if [ $status = 0 ]; then
            finished=$((finished + 1))
            [ "$(hash life.txt)" = "$wanted" ] || bad=1
            rm -rf run
        fi
    done
    if [ -s run/run.txt ]; then
        "$strata" train --resume run --json > life.txt || bad=1
        finished=$((finished + 1))
        [ "$(hash life.txt)" = "$wanted" ] || bad=1
        cmp run/best.safetensors whole/best.safetensors || bad=1
        for run in run whole; do
            sed 's/"images_per_s": [^,]*, //; s/"seconds": [^,]*, //; /weights_sha256/d' $run/log.jsonl > $run.log
        done
        cmp run.log whole.log || bad=1
    fi
    if [ $bad = 0 ] && [ -n "$wanted" ]; then
        echo "ok cli/$name: $kills kills, $finished runs finished, all with weights $wanted"
    else
        echo "FAIL cli/$name: $(hash life.txt) is not $wanted"
        exit 1
    fi
}

data=fashion-mnist size='--limit 12000 --epochs 8'
if ! "$strata" data $data --quiet > /dev/null 2>&1; then
    sh "$here/../make-idx" small 1000 200
    data=small size='--epochs 100'
fi
story kill "$kills" "train lenet5 --data $data $size"

# Pictures from folders, changed at random on their way.
sh "$here/../make-cifar" pictures 400 40 folders
cat > small.net << 'END'
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
story kill-augmented $((kills / 2)) 'train small.net --data pictures --augment cifar --epochs 40 --batch 32'
story kill-accumulated $((kills / 2)) \
    'train small.net --data pictures --augment cifar --epochs 40 --batch 16 --accumulate 3 --clip 1 --ema 0.98 --patience 40 --schedule constant'

# Pictures of many sizes, cut and coloured at random, each class as often as the others; then a part of a net that has
# learned, on features of those pictures that are kept.
sh "$here/../make-cifar" sizes 330 40 sizes
rm -r sizes/train/cat/00[12]*
story kill-sizes $((kills / 2)) \
    'train small.net --data sizes --augment imagenet --balance --epochs 20 --batch 32'
"$strata" train small.net --data pictures --epochs 2 --quiet --out base > /dev/null || exit 1
story kill-finetune $((kills / 2)) \
    'finetune base --data sizes --train 3 4 7 --thaw 10 --augment imagenet --variants 3 --balance --epochs 40'
story kill-finetune-all $((kills / 4)) \
    'finetune base --data sizes --train all --augment imagenet --epochs 10 --batch 16 --accumulate 2 --ema 0.9 --thaw 2'
