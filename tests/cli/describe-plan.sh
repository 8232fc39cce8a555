strata describe lenet5 --plan > plan.txt
grep -c . plan.txt > /dev/null && echo "a plan"
