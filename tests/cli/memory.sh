# No command builds what will not fit: each says which batch would.
free=$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
[ "$free" -lt 30 ] || { echo "this machine has memory for the batch"; exit 77; }
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 1 --batch 16 --quiet --out run > train.txt
refused() {
    "$@" --batch 1000000 > said.txt 2>&1
    echo "exit $?"
    sed 's/[0-9.]* GB/N GB/g; s/batch [0-9,]* needs N GB: --batch [0-9]*/batch N needs N GB: --batch N/' said.txt
}
refused strata bench lenet5
refused strata bench lenet5 --train
refused strata bench run --json
refused strata eval run
refused strata eval run/best.safetensors --data small --json
refused strata eval lenet5 --weights run/best.safetensors --data small
