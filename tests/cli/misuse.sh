# A wrong command line: one sentence, what is near, exit 2.
try() { "$@"; echo "exit $?"; }
try strata trian
try strata frobnicate
try strata --json
try strata finetune
try strata describe
try strata describe lenet5 extra
try strata describe lenet5 --bacth 3
try strata describe lenet5 -x
try strata describe lenet5 --batch
try strata describe lenet5 --batch 0
try strata describe lenet5 --batch 1.5
try strata describe lenet5 --batch 12x
try strata describe lenet5 --json=yes
try strata describe lenet5 --set classes
try strata describe lenet5 --color sometimes
try strata train
try strata train lenet5
try strata train lenet5 --data d --lr -1
try strata train lenet5 --data d --val 1
try strata train lenet5 --data d --schedule zigzag
try strata train lenet5 --data d --epochs 2 --warmup 3
try strata train lenet5 --data d --precision bf16
try strata train lenet5 --data d --accumulate 0
try strata train --resume run --epochs 3
try strata train lenet5 --resume run
try strata eval lenet5 --data d
try strata predict lenet5
try strata fmt a.net b.net
try strata fmt -i --check a.net
