# The same weights from CIFAR's batches and from folders with the same pictures, with augmentation, for any threads; a
# run's folder says what it was.
sh "$SOURCE/tests/make-cifar" batches 100 20
sh "$SOURCE/tests/make-cifar" pictures 100 20 folders
cat > small.net << 'END'
network small {
    input 32x32x3
    conv 5x5 6 stride=2, tanh
    avgpool 2x2 stride=2
    fc 10
    output logits loss=cross_entropy
}
END
hash() { sed 's/.*"weights_sha256": "\([0-9a-f]*\)".*/\1/' | tail -n 1; }
run() { # folder of the run, data, more
    out=$1 data=$2
    shift 2
    strata train small.net --data "$data" --epochs 2 --batch 16 --json --out "$out" "$@" | hash
}
run a batches --augment cifar > hashes
run b pictures --augment crop=4,mirror --threads 1 >> hashes
run c pictures --augment cifar --threads 3 >> hashes
sort -u hashes | grep -c '^[0-9a-f]\{64\}$'
run d batches > other
run e batches --augment mirror >> other
sort -u other | grep -c '^[0-9a-f]\{64\}$'
grep -cxF -f hashes other || true
grep '^augment' a/run.txt
strata train small.net --data batches --augment mirrr --quiet --out f
echo "exit $?"
test -e f || echo 'no folder was made'
rm -r pictures/test/cat && mkdir pictures/test/cat
strata train small.net --data pictures --epochs 1 --batch 16 --augment cifar --quiet --out g > /dev/null
# More border than half a picture is a slip.
strata train small.net --data pictures --augment crop=17 --quiet --out h 2>&1 | grep sight
