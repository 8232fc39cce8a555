# Several models: each one's own line, then their ensemble; or which of two is better.
cp -r "$SMALL" small
for seed in 1 2 3; do
    strata train lenet5 --data small --epochs 1 --batch 16 --limit 60 --seed $seed --quiet --out run$seed > /dev/null
done
strata eval run1 run2 run3 --data small | sed 's/   *[0-9.]* m*s$/ T/; s/  *time$/ T/' | head -n 9
strata eval run1 run2 --data small --quiet
strata eval run1 --data small --json --top 1 > one.json
strata eval run1 run2 --data small --json --top 1 | grep -o '"members": .*"classes"' | sed 's/"seconds": [0-9.e-]*/T/g'
grep -o '"loss": [0-9.e-]*' one.json
strata eval run1 run2 --data small --compare | sed 's/   *[0-9.]* m*s$/ T/; s/  *time$/ T/'
strata eval run2 run1 --data small --compare --quiet
strata eval run1 run1 --data small --compare --quiet
strata eval run1 run2 --data small --compare --json | grep -o '"compare".*'
strata eval run1 --data small --compare
echo "exit $?"
strata eval lenet5 run1 --weights run1/best.safetensors --data small
echo "exit $?"
