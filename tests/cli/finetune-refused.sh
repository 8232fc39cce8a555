# What finetune will not do, and how it says so.
try() { "$@"; echo "exit $?"; }
XDG_CACHE_HOME=$PWD/cache
export XDG_CACHE_HOME
cp -r "$SMALL" small
cat > fixed.net <<'NET'
network fixed {
    input 28x28x1
    a: conv 3x3 8, relu, avgpool global
    b: fc 5
    output logits loss=cross_entropy
}
NET
sed 's/network/let classes = 5\nnetwork/; s/fc 5/fc classes/' fixed.net > knob.net
sed 's/a: conv 3x3 8/a: conv 3x3 9/' knob.net > wider.net
printf 'not weights' > text
strata train lenet5 --data small --epochs 1 --quiet --out base > base.txt
try strata finetune
try strata finetune lenet5
try strata finetune lenet5 --data small
try strata finetune lenet5 --data small --weights text --quiet
try strata finetune lenet5 --data small --weights nowhere.safetensors
try strata finetune fixed.net --data small --weights base/best.safetensors
try strata finetune knob.net --data small --weights base/best.safetensors --train head --quiet
strata train knob.net --set classes=10 --data small --epochs 1 --quiet --out knob > knob.txt
try strata finetune wider.net --data small --weights knob/best.safetensors --train head --quiet
try strata finetune base --data small --train f8 --quiet
try strata finetune base --data small --train s2 --quiet
try strata finetune base --data small --train f7 f8 --quiet
try strata finetune base --data small --train head --thaw 20
try strata finetune base --data small --train head --variants -1
try strata finetune --resume base --train head
ls
