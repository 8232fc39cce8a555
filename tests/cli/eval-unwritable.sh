# A drawing that cannot be written is a line on stderr; the answer stands.
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 3 --batch 16 --quiet --out run
mkdir run/confusion.svg
strata eval run --quiet
echo "exit $?"
strata eval run --json > answer.txt
echo "exit $?"
grep -c '"top1": ' answer.txt
strata eval run > answer.txt
echo "exit $?"
grep -c 'top-1\|confusion matrix' answer.txt
