# What does not fit is said, and nothing is written.
refused() {
    strata trace "$@" --out t.safetensors --quiet 2>&1
    echo "exit $?"
}
sh "$SOURCE/tests/make-batch" b.safetensors 2 1 32 32 1 10
sh "$SOURCE/tests/make-batch" small.safetensors 2 1 28 28 1 2
sh "$SOURCE/tests/make-batch" alone.safetensors 2 1 32 32
refused lenet5
refused lenet5 --batch none.safetensors
refused lenet5 --batch b.safetensors
refused lenet5 --batch small.safetensors
refused lenet5 --batch alone.safetensors --gradients
refused lenet5 --batch alone.safetensors --mode train
refused lenet5 --batch alone.safetensors --mode later
refused lenet5 --batch alone.safetensors --weights alone.safetensors
strata trace lenet5 --batch alone.safetensors 2>&1
strata trace lenet5 --batch alone.safetensors --out none/t.safetensors --quiet 2>&1
strata diff alone.safetensors none.safetensors 2>&1
echo "exit $?"
strata diff alone.safetensors 2>&1
echo "exit $?"
strata diff b.safetensors alone.safetensors
echo "exit $?"
strata diff alone.safetensors b.safetensors
echo "exit $?"
strata diff alone.safetensors small.safetensors
echo "exit $?"
ls
# What is read is never written over.
strata trace lenet5 --batch alone.safetensors --out alone.safetensors 2>&1
echo "exit $?"
cp "$SOURCE/zoo/lenet5.net" own.net
strata describe ./own.net --svg own.net 2>&1
echo "exit $?"
cmp own.net "$SOURCE/zoo/lenet5.net" && echo unharmed
