strata help nets
strata help train | head -1
strata help conv | head -1
strata help layers | grep -c .
strata help covn
echo "exit $?"
strata help trian
