# A full disk and a closed pipe behind standard output are errors that are said.
strata describe lenet5 > /dev/full
echo "exit $?"
strata describe lenet5 --json > /dev/full
echo "exit $?"
strata describe lenet5 >&-
echo "exit $?"
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 1 --out run > /dev/full
echo "exit $?"
