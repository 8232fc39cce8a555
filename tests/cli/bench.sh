strata bench lenet5 --batch 16 --seconds 0.01 | sed 's/[0-9][0-9.,]*/N/g; s/ isa N/ ISA/; s/f[N], [a-z]*N*,/f32, ISA,/; s/threads*/threads/'
strata bench lenet5 --train --batch 16 --seconds 0.01 --json | sed 's/"\([a-z_]*\)": [^,}]*/\1/g'
# Layer by layer: the rows are those of the plan, whatever the numbers.
strata bench lenet5 --train --batch 16 --repeats 2 --layers | sed -n '/^layer/,$p' |
    sed 's/[0-9.]*% [a-z]*/N%/g; s/ [0-9]*\.[0-9]*%\{0,1\}/ N/g; s/  */ /g; s/ $//'
strata bench lenet5 --batch 16 --repeats 2 --layers --json | sed 's/: [0-9.e+-]*\([,}]\)/: N\1/g' | tail -n 1 | tr '{' '\n' | sed -n '3,4p;$p'
# A net whose input has more channels than any picture.
strata bench inception_module --batch 1 --repeats 1 --json | grep -c images_per_s
