strata help nets | grep '^lenet5 ' | tr -s ' '
strata help nets | tail -n 1
strata help train | head -n 1
strata help conv | head -n 1
strata help layers | grep -c '^conv '
strata help augment | sed -n '1p; /crop=N/p; /imagenet/p'
strata help augment --json | cut -c 1-40
strata help augmnt
echo "exit $?"
strata help covn
echo "exit $?"
strata help trian
echo "exit $?"
strata help take
strata help lenet5
strata help let --json
strata help conv --json | cut -c 1-32
strata help --json | cut -c 1-40
strata help train --json | cut -c 1-40
strata train --help --json --color always | cut -c 1-40
