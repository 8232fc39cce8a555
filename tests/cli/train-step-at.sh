# Drops at epochs of one's own choice, test error in every epoch, and a run in pieces that ends like one in one piece.
cp -r "$SMALL" small
t="strata train lenet5 --data small --epochs 4 --batch 16 --schedule step --step-at 2,3 --val none --test-each-epoch"
$t --out whole > whole.txt
grep -A 1 '^plan' whole.txt | sed 's/; .*//'
grep '^epoch' whole.txt
grep -E '^(step_at|test_each_epoch) ' whole/run.txt
grep -c '"test_top1": [0-9.]*, "test_loss": ' whole/log.jsonl
$t --out pieces --stop-after 1 | tail -n 1
strata train --resume pieces --stop-after 1 | tail -n 1
strata train --resume pieces --stop-after 3 --json | sed 's/"\([a-z_]*\)": [^,}]*/\1/g'
strata train --resume pieces --stop-after 4 --quiet
for run in whole pieces; do tail -n 1 $run/log.jsonl | sed 's/.*"weights_sha256"//'; done | sort -u | grep -c .
# Another schedule is another run.
sed -i 's/^step_at = .*/step_at = 1,3/; s/^epochs = .*/epochs = 4/' pieces/run.txt
sed -i /weights_sha256/d pieces/log.jsonl
strata train --resume pieces 2>&1 | grep -E '^ *(strata|pieces)' | sed 's/labels [0-9a-f]*/labels N/g; s/seed 1, .*/.../'
for drops in 3,2 2,,x 0 2x 1.5.5 1,,2 1, '1 2' 12 '' -1; do
    strata train lenet5 --data small --schedule step --step-at "$drops" --out none 2>&1 | grep -vE '^(net|data|plan|memory|pictures| )'
done
strata train lenet5 --data small --step-at 2
strata train --resume pieces --step-at 2
strata train lenet5 --data small --schedule step --step-at 2 --step-every 1
