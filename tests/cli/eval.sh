cp -r "$SMALL" small
strata train lenet5 --data small --epochs 3 --batch 16 --quiet --out run
strata eval run | sed 's/ [0-9.]* m*s$/ T/'
ls run/confusion.svg
strata eval run --part val --quiet
cp -r small elsewhere
rm run/confusion.svg
strata eval run --data elsewhere --quiet
ls run/confusion.svg
strata eval run/best.safetensors --data small --quiet
strata eval run --mistakes nowhere/worst.png
echo "exit $?"
strata eval lenet5 --weights run/best.safetensors --data small --quiet
strata eval run/best.safetensors
echo "exit $?"
strata eval run --part none
echo "exit $?"
strata eval run --data none
echo "exit $?"
mkdir other
strata eval other
echo "exit $?"
