# What cannot be is refused before a folder is made.
cp -r "$SMALL" small
try() { strata train "$@" 2>&1 | grep -vE '^(net|data|plan|memory|pictures| )'; [ ! -e runs ] || echo "runs was made"; }
try lenet5 --data none
try none --data small
try lenet5 --data small --set classes=6
cat > tiny.net <<'NET'
network tiny {
    input 28x28x1
    fc 10
    output logits
}
NET
try tiny.net --data small
try lenet5 --data small --weights none.safetensors
try lenet5 --data small --freeze c9
try lenet5 --data small --out -
try lenet5 --data small --out ''
try lenet5 --data small --patience 2 --val none
try lenet5 --data small --ema 1
try lenet5 --data small --clip 0
ls
