# A net that has learned, a new last layer: what it says before, what it leaves behind, and the same bits after a stop.
XDG_CACHE_HOME=$PWD/cache
export XDG_CACHE_HOME
cp -r "$SMALL" small
steady() { # without what differs from machine to machine
    sed '/^plan/,/thread/d; s/[0-9.,]* [KMG]B/ N/g; s/of  *N free/of N free/; s/(.*s)/(TIME)/; s/[0-9.]* m*s an/TIME an/
         s/after the thaw [0-9.]* m*s/after the thaw TIME/; s/about .* in all/about TIME in all/; s/^\( *[0-9][0-9]*   [0-9.]*  *[0-9.]*%  *[0-9.]*%\).*/\1 .../'
}
hash() { sed -n 's/.*"weights_sha256": "\([0-9a-f]*\)".*/\1/p' "$1/log.jsonl"; }
strata train lenet5 --data small --epochs 1 --batch 16 --threads 1 --quiet --out base > base.txt
strata finetune base --data small --train head --epochs 3 --threads 1 --out head | steady
ls -A head
strata finetune base --data small --train head --epochs 3 --threads 1 --out again --json |
    sed 's/"images_per_s": [0-9.e+]*, //; s/"seconds": [0-9.e-]*, //; s/"memory_bytes.*weights_/"weights_/'
[ "$(hash head)" = "$(hash again)" ] && echo 'features that were kept: the same bits'
ls cache/strata/features | wc -l | tr -d ' '

for train in head second-half all 'f6 f7'; do
    strata finetune base --data small --train "$train" --epochs 4 --thaw 2 --augment crop=2 --variants 2 --quiet --out whole --force
    strata finetune base --data small --train "$train" --epochs 4 --thaw 2 --augment crop=2 --variants 2 --quiet --out parts \
        --force --stop-after 1
    strata train --resume parts --stop-after 3 --quiet
    strata finetune --resume parts --quiet
    [ "$(hash whole)" = "$(hash parts)" ] && echo "$train: the same bits in three pieces"
done
strata eval whole --data small --json | sed 's/"loss.*//'
strata finetune whole/best.safetensors --data small --train f7 --explain --threads 1 | steady
strata finetune base --data small --train all --thaw 2 --epochs 5 --explain --threads 1 | steady
strata finetune base --data small --train all --thaw 2 --epochs 5 --explain --threads 1 --json |
    sed -E 's/("(seconds|[a-z]*_seconds|memory_bytes)": )[0-9.e+-]+/\1N/g'
grep -E '^(train|thaw|variants|body_rate|weights) ' whole/run.txt | sed "s|= .*/base|= base|"
