# What a file of weights holds, and which network it fits.
cat > tiny.net <<'NET'
network tiny { input 8x8x1, fc 3, output logits loss=cross_entropy }
NET
cat > other.net <<'NET'
network other { input 8x8x1, head: fc 3, output logits loss=cross_entropy }
NET
sed 's/fc 3/fc 5/' tiny.net > five.net
for class in ant bee cow; do
    mkdir -p photos/train/$class
    for i in 1 2 3 4; do
        { printf 'P5\n8 8\n255\n'; head -c 64 /dev/zero | tr '\0' "\\$((i + 1))0"; } > photos/train/$class/$i.pgm
    done
done
strata train tiny.net --data photos --val none --epochs 1 --batch 4 --quiet --out run
strata weights run/best.safetensors | sed 's/[0-9.]* KB/SIZE/'
strata weights run/best.safetensors --for tiny.net --quiet
strata weights run/best.safetensors --for five.net
echo "exit $?"
strata weights run/best.safetensors --for other.net | tail -n 6
echo "exit $?"
strata weights run/best.safetensors --json --for tiny.net | sed 's/"rows".*"mapped"/"rows": ROWS, "mapped"/'
strata weights run/best.safetensors --values | tail -n 3
# By order into another name.
strata convert run/best.safetensors mapped.safetensors --for other.net --map order --quiet
strata weights mapped.safetensors --for other.net --quiet | tail -n 1
# What is no file of weights.
printf 'not weights' > text
strata weights text 2>&1 | cut -c 1-60
: > empty
strata weights empty
strata weights nowhere
strata weights run/best.safetensors --set classes=3
echo "exit $?"
