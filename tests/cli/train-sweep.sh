# What a killed process had half written goes when the run is gone on with or begun anew; files of other names stay.
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 1 --batch 16 --quiet --out run
sed -i /weights_sha256/d run/log.jsonl
touch run/last.safetensors.part-12-0 run/curve.svg.part-9-31 run/mine.part-1-1 run/last.safetensors.part-of-mine
strata train --resume run --quiet
ls run
touch run/best.safetensors.part-12-0
strata train lenet5 --data small --epochs 1 --batch 16 --quiet --out run --force
ls run
