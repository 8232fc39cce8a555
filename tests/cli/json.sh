# Another program reads every --json.
command -v python3 > /dev/null || { echo "python3 is not installed"; exit 77; }
cp -r "$SMALL" small
check() { python3 -c 'import json, sys
for line in sys.stdin: json.loads(line)' && echo "$1 ok"; }
strata describe lenet5 --json | check describe
strata describe lenet5 --json --train | check describe-train
strata data small --json | check data
strata train lenet5 --data small --epochs 2 --batch 16 --json --out run | check train
check log < run/log.jsonl
strata eval run --json | check eval
strata predict run small/t10k-images-idx3-ubyte:0 --json | check predict
strata bench lenet5 --batch 4 --seconds 0.01 --json | check bench
strata help nets --json | check nets
strata fmt --check run/net.net --json | check fmt
strata fmt run/net.net --json | check fmt-text
strata describe lenet5 --json --plan | check plan
for topic in '' layers conv take lenet5 train; do strata help $topic --json | check "help $topic"; done
