# One batch through a net, for people and for programs; the files are compared with diff.
sh "$SOURCE/tests/make-batch" b.safetensors 3 1 32 32 1 7 3
strata trace lenet5 --batch b.safetensors --out t.safetensors --activations --gradients --mode train |
    sed 's/^memory .*/memory   M/'
strata trace lenet5 --batch b.safetensors --out u.safetensors --json | sed 's/"peak_rss_bytes": [0-9]*/"peak_rss_bytes": P/'
strata diff u.safetensors t.safetensors --json | sed 's/"only_second.*//'
echo "exit $?"
strata diff t.safetensors u.safetensors --all
echo "exit $?"
strata trace lenet5 --batch b.safetensors --out v.safetensors --seed 2 --quiet
strata diff v.safetensors u.safetensors > said.txt
echo "exit $?"
sed 's/, by .*/, by D/; s/ [0-9.]*e[-+][0-9]*/ E/g' said.txt
# A checkpoint brings its weights.
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 1 --batch 16 --quiet --out run > train.txt
strata trace run --batch b.safetensors --out w.safetensors --quiet
strata trace run/best.safetensors --batch b.safetensors --out x.safetensors --quiet
strata trace lenet5 --weights run/best.safetensors --batch b.safetensors --out y.safetensors --quiet
strata diff w.safetensors x.safetensors --rtol 0
strata diff w.safetensors y.safetensors --rtol 0 --quiet
