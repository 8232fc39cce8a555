# One SIGINT: the batch ends, the place is saved, exit 130; resumed, the run ends in the weights of one that never stopped.
cp -r "$SMALL" small
t="strata train lenet5 --data small --epochs 60 --batch 4 --json --threads 1"
$t --out whole > whole.txt
$t --out halted > halted.txt 2> said.txt &
pid=$!
while [ ! -s halted.txt ]; do sleep 0.01; done
kill -INT $pid
wait $pid
echo "exit $?"
sed 's/epoch [0-9]*/epoch N/; s/, step [0-9,]*/, step N/' said.txt | sed 's/epoch N:/epoch N, step N:/'
strata train --resume halted --json > rest.txt
echo "exit $?"
for file in whole.txt rest.txt; do tail -n 1 $file | sed 's/.*"weights_sha256"//'; done | sort -u | grep -c .
