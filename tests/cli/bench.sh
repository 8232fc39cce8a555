strata bench lenet5 --batch 16 --seconds 0.01 | sed 's/[0-9][0-9.,]*/N/g; s/ isa N/ ISA/; s/f[N], [a-z]*N*,/f32, ISA,/; s/threads*/threads/'
strata bench lenet5 --train --batch 16 --seconds 0.01 --json | sed 's/"\([a-z_]*\)": [^,}]*/\1/g'
