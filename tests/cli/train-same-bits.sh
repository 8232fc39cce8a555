# The same weights for any number of threads, every set of kernels, and from a copy of the network's file.
cp -r "$SMALL" small
hash() { sed 's/.*"weights_sha256": "\([0-9a-f]*\)".*/\1/' | tail -n 1; }
for threads in 1 2 3; do
    strata train lenet5 --data small --epochs 1 --batch 16 --json --threads $threads --out t$threads | hash
done | sort -u > hashes
for isa in portable avx2 avx512; do
    STRATA_ISA=$isa strata train lenet5 --data small --epochs 1 --batch 16 --json --out i$isa 2> /dev/null | hash
done | sort -u >> hashes
strata train t1/net.net --data small --epochs 1 --batch 16 --json --out again | hash >> hashes
strata train lenet5 --data small --epochs 1 --batch 16 --json --out seed2 --seed 2 | hash > other
sort -u hashes | grep -c '^[0-9a-f]\{64\}$'
grep -c '^[0-9a-f]\{64\}$' other
grep -cxF -f hashes other || true
