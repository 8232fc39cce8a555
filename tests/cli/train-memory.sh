# What will not fit is refused before the first step, with the batch that would.
free=$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
[ "$free" -lt 50 ] || { echo "this machine has memory for the batch"; exit 77; }
cp -r "$SMALL" small
strata train lenet5 --data small --batch 1000000 2>&1 | tail -n 3 |
    sed 's/[0-9.]* GB/N GB/g; s/batch [0-9,]* needs N GB: --batch [0-9]*/batch N needs N GB: --batch N/' |
    sed 's/--batch [0-9]* --accumulate [0-9]* needs/--batch N --accumulate N needs/'
ls
