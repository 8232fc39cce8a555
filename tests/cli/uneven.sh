# Uneven classes: --balance gives each the same number of places in an epoch; part of the run, the same on any number of
# threads and when it is resumed.
sh "$SOURCE/tests/make-cifar" photos 100 20 sizes
rm photos/train/cat/000[2-9].ppm photos/train/dog/000[3-9].ppm
strata data photos | grep -E '^  (cat|dog|ship|uneven)'
cat > small.net <<'NET'
network small { input 32x32x3, conv 5x5 6 stride=2, relu, avgpool global, fc 10, output logits loss=cross_entropy }
NET
hash() { sed -n 's/.*"weights_sha256": "\([0-9a-f]*\)".*/\1/p' "$1/log.jsonl"; }
go() { strata train small.net --data photos --val none --epochs 4 --batch 16 --augment imagenet --quiet "$@" > none; }
go --out plain
go --balance --out whole
go --balance --threads 1 --out one
go --balance --stop-after 2 --out parts
strata train --resume parts --quiet > none
grep balance whole/run.txt | tail -n 1
[ "$(hash plain)" != "$(hash whole)" ] && echo 'another training'
[ "$(hash whole)" = "$(hash one)" ] && [ "$(hash whole)" = "$(hash parts)" ] && echo 'the same bits on one thread, and in two parts'
strata finetune plain --data photos --val none --balance --train head --epochs 2 --out tuned --quiet > none
grep '^balance' tuned/run.txt
strata train --resume parts --balance
