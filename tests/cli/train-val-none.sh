cp -r "$SMALL" small
strata train lenet5 --data small --epochs 2 --batch 16 --val none --limit 100 > out.txt
grep -E '^data|^ +choose|^last' out.txt
grep '^epoch' out.txt
strata train lenet5 --data small --epochs 1 --batch 16 --quiet
