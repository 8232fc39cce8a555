# A run is not written over unless that is meant; one that another process writes is left alone.
cp -r "$SMALL" small
t="strata train lenet5 --data small --epochs 1 --batch 16 --quiet"
$t --out a/b
$t --out a/b
echo "exit $?"
$t --out a/b --force
echo "exit $?"
echo text > file
$t --out file
echo "exit $?"
command -v flock > /dev/null || { echo "flock is not installed"; exit 77; }
sed -i /weights_sha256/d a/b/log.jsonl
flock a/b/.lock strata train --resume a/b
echo "exit $?"
flock a/b/.lock $t --out a/b --force
echo "exit $?"
