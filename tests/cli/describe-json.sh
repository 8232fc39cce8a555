strata describe lenet5 --json | sed 's/_bytes": [0-9]*/_bytes": N/g'
strata describe lenet5 --train --json | tr ',' '\n' | grep -c '_bytes": [0-9]'
strata describe lenet5 --plan --json | grep -c '"plan": ".*conv 5x5 6.*"}$'
