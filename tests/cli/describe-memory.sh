strata describe lenet5 --train --batch 256 | tail -10 | head -7 | sed 's/[0-9.]* [KMG]B/N/g; s/  *N/ N/g'
