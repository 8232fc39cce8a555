# A run that began with the weights of another, whose pictures had another mean: resumed, it prepares them as before.
sh "$SOURCE/tests/make-cifar" first 40 10 folders
sh "$SOURCE/tests/make-cifar" second 60 10 sizes
cat > small.net <<'NET'
network small { input 32x32x3, conv 5x5 6 stride=2, relu, avgpool global, fc 10, output logits loss=cross_entropy }
NET
hash() { sed -n 's/.*"weights_sha256": "\([0-9a-f]*\)".*/\1/p' "$1/log.jsonl"; }
strata train small.net --data first --epochs 1 --quiet --out base > none
for command in 'finetune base --train all' 'finetune base --train head' 'train small.net --weights base/best.safetensors'; do
    # shellcheck disable=SC2086
    strata $command --data second --epochs 4 --augment imagenet --quiet --force --out whole > none
    # shellcheck disable=SC2086
    strata $command --data second --epochs 4 --augment imagenet --quiet --force --out parts --stop-after 2 > none
    strata train --resume parts --quiet > none
    [ "$(hash whole)" = "$(hash parts)" ] && echo "$command: the same bits in two parts"
done
