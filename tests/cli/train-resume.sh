cp -r "$SMALL" small
strata train lenet5 --data small --epochs 2 --batch 16 --json --out run | tail -n 1 > first
strata train --resume run --json > second
cmp first second
strata train --resume run --quiet
# Killed between the last epoch and the test: the test is made good.
sed -i /weights_sha256/d run/log.jsonl
strata train --resume run --json | sed 's/.*"weights_sha256"//' > again
sed 's/.*"weights_sha256"//' first | cmp - again
strata train --resume none
echo "exit $?"
echo 'nonsense' >> run/run.txt
strata train --resume run
echo "exit $?"
