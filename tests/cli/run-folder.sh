# A run folder stands for its network.
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 1 --batch 16 --quiet --out run
strata describe lenet5 > name.txt
strata describe run | cmp - name.txt
strata bench run --batch 4 --seconds 0.01 | head -n 1 | cut -d, -f1
strata describe small
echo "exit $?"
strata bench small
echo "exit $?"
