# Windows and mirror images, the matrix as a table and as a drawing.
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 1 --batch 16 --limit 60 --quiet --out run > /dev/null
strata eval run --data small --crops 10 --matrix | sed 's/ [0-9.]* m*s$/ T/'
for views in '--crops 1' '--crops 5' '--flip' '--crops 5 --flip'; do
    # shellcheck disable=SC2086
    echo "$views: $(strata eval run --data small $views --quiet)"
done
strata eval run --data small --crops 3
echo "exit $?"
strata eval run/best.safetensors --data small --confusion matrix.svg --quiet
grep -c '<title>5 taken for\|<title>5 right' matrix.svg
strata eval run --data small --confusion run/net.net
echo "exit $?"
strata eval run --data small --confusion none/matrix.svg --quiet
echo "exit $?"
