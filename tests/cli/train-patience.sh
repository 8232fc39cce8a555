# A run that gets no better ends, says why, and stays ended.
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 20 --batch 64 --lr 1e-12 --schedule constant --patience 2 --out run |
    sed -n '/^ended/p; /^best/p' | sed 's/   .*//'
tail -n 1 run/log.jsonl | grep -o '"epochs": 20, "stopped_epoch": 3, "best_epoch": 1'
sed -i '/weights_sha256/d' run/log.jsonl
strata train --resume run | sed -n '/^resume/p; /^ended/p'
strata train lenet5 --data small --epochs 2 --patience 1 --quiet --out warned > none
strata train lenet5 --data small --val none --patience 2 --quiet
echo "exit $?"
ls
