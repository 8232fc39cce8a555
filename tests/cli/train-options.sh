# Steps of several batches, clipped gradients, averaged weights and patience: said before it begins, kept in run.txt and
# in the log, and a run that was ended within an epoch goes on to the same weights.
cp -r "$SMALL" small
cat > plain.net <<'NET'
network plain {
    input 32x32x1
    conv 5x5 40 stride=2, relu
    maxpool 2x2 stride=2
    dropout 0.2
    fc 30, tanh
    fc 10
    output logits loss=cross_entropy
}
NET
hash() { sed -n 's/.*"weights_sha256": "\([0-9a-f]*\)".*/\1/p'; }
options='--data small --epochs 4 --clip 1 --ema 0.9 --patience 4 --schedule cosine'
strata train plain.net $options --batch 16 --accumulate 3 --out run --threads 2 | sed -n '/^plan/,/^memory/p' | grep -v memory | sed 's/; .*$//'
grep -E '^(batch|accumulate|clip|ema|patience) = ' run/run.txt
grep -c '"grad_norm": [0-9.e-]*, "grad_norm_max": [0-9.e-]*' run/log.jsonl
tail -n 1 run/log.jsonl | hash > pieces
strata train plain.net $options --batch 48 --json | tail -n 1 | hash | cmp - pieces && echo 'one batch of 48: the same weights'
# In pieces, and stopped in between.
strata train plain.net $options --batch 16 --accumulate 3 --out parts --stop-after 1 --quiet
strata train --resume parts --stop-after 3 --quiet
strata train --resume parts --json | tail -n 1 | hash | cmp - pieces && echo 'in three parts: the same weights'
# The checkpoint holds both.
head -c 4000 run/last.safetensors | grep -a -o '"optimizer.value[^"]*"' | sort
strata train --resume run --ema 0.5
