# What cannot be is refused before a folder is made.
cp -r "$SMALL" small
try() { strata train "$@" 2>&1 | grep -vE '^(net|data|plan|memory|pictures| )'; [ ! -e runs ] || echo "runs was made"; }
try lenet5 --data none
try none --data small
try lenet5 --data small --set classes=6
try lenet5 --data small --weights none.safetensors
try lenet5 --data small --freeze c9
