# The search for a learning rate: a suggestion, a drawing, the next command; no run, and none that is there is touched.
cp -r "$SMALL" small
t='strata train lenet5 --data small --batch 16 --find-lr'
$t | sed -n '/^learning/,$p' | sed 's/[0-9.]*[0-9](*/N/g; s/runs.lenet5-N/runs\/lenet5-1/g'
ls runs/lenet5-1
$t --lr 0.3 --out mine --quiet --seed 5 | sed 's/[0-9.]*[0-9]/N/g'
grep -c 'suggested' mine/lr.svg
if command -v xmllint > /dev/null; then xmllint --noout mine/lr.svg; fi
$t --out mine --json | grep -o '^{"suggested_lr": [0-9.]*, "lowest_lr": [0-9.e-]*, "lowest_loss": [0-9.]*, "diverged": false, "open_ended": true, "svg": "mine/lr.svg", "trials": \[{"lr": 1e-06, "loss": [0-9.]*, "smooth_loss": ' | sed 's/[0-9.]*[0-9]/N/g'
# The folder becomes the run's; then another search leaves the run alone.
strata train lenet5 --data small --batch 16 --epochs 1 --out mine --quiet > none
cat mine/run.txt mine/log.jsonl mine/*.safetensors | cksum > before
$t --out mine --quiet > none
cat mine/run.txt mine/log.jsonl mine/*.safetensors | cksum | cmp - before && echo 'the run is as it was'
ls mine
# Two searches are the same.
cp mine/lr.svg first.svg
$t --out mine --quiet --threads 1 > none
cmp first.svg mine/lr.svg
strata train lenet5 --data nowhere --find-lr --out fresh 2> none
ls -d fresh 2> none
$t --out none
