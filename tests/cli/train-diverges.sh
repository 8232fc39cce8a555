# A loss that is no number: where, what stands, what helps; and the checkpoint before it is whole.
cp -r "$SMALL" small
cat > wild.net <<'NET'
network wild {
    input 32x32x1
    c1: conv 5x5 6, relu
    f2: fc 10
    output logits loss=cross_entropy
}
NET
strata train wild.net --data small --batch 16 --lr 1e6 --momentum 0.99 --weight-decay 100 --schedule constant --out run --quiet --save-every 0
echo "exit $?"
strata predict run/last.safetensors small/t10k-images-idx3-ubyte:0 --quiet > /dev/null && echo "the checkpoint is whole"
# A loss that is a number, but far from any use.
strata train lenet5 --data small --batch 16 --lr 10 --schedule constant --epochs 2 --out far --json 2>&1 > far.txt |
    sed 's/chance: [0-9.]*/chance: N/'
strata train --resume far --quiet > far.txt
echo "exit $?"
# The same with everything that comes between the loss and the weights.
for options in '--clip 1e12' '--ema 0.9' '--accumulate 2 --ema 0.9'; do
    strata train wild.net --data small --batch 8 --lr 1e6 --momentum 0.99 --weight-decay 100 --schedule constant \
        --out run --force --quiet $options 2>&1 |
        sed 's/: the .* is not .* any more in epoch [0-9]*, step [0-9]*: the first [a-z]* with infinities is .*/: NOT FINITE in EPOCH, STEP: PLACE/'
    strata predict run/last.safetensors small/t10k-images-idx3-ubyte:0 --json | grep -c '"probability": [0-9]'
done
