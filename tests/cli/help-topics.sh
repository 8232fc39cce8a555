strata help nets | grep '^lenet5 ' | tr -s ' '
strata help nets | tail -n 1
strata help train | head -n 1
strata help conv | head -n 1
strata help layers | grep -c '^conv '
strata help covn
echo "exit $?"
strata help trian
