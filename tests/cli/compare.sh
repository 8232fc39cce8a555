# Runs side by side: a table of what they have, and their curves; speed and time differ from run to run.
cp -r "$SMALL" small
t="strata train lenet5 --data small --batch 16 --quiet"
$t --epochs 3 --schedule step --step-at 2 --val none --test-each-epoch --out a > /dev/null
$t --epochs 3 --schedule step --step-at 2 --val none --test-each-epoch --stop-after 2 --out b --lr 0.001
$t --epochs 2 --out lenet5 > /dev/null
strata compare a b lenet5 | awk '{ NF = NF > 7 ? 8 : NF; print }' | cut -d ' ' -f 1-9
strata compare lenet5 --markdown | sed 's/[0-9.,]* | [0-9.]* m\{0,1\}s |$/R | T |/'
strata compare a b --json | sed 's/, "images_per_s": [0-9.e+]*, "seconds": [0-9.e-]*//g' | tr '{' '\n'
strata compare a b --svg curves.svg --title 'a < b' | tail -n 1
grep -c '<svg' curves.svg
grep '<desc>' curves.svg
strata compare a b lenet5 --svg two.svg --panels 2 --quiet > /dev/null
grep -o '<clipPath' two.svg | grep -c .
if command -v xmllint > /dev/null; then xmllint --noout curves.svg two.svg; fi
strata compare a --panels 2 --svg none.svg
strata compare a small
strata compare
strata compare a --json --markdown
# Lines of a log that say nothing are told.
sed -i '2s/.*/{"epoch": 2, "lo/' a/log.jsonl
echo 'nonsense' >> a/log.jsonl
strata compare a b 2>&1 > none
sed -i 's/^batch = .*/batch = 0/' b/run.txt
strata compare a b
