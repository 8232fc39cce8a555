strata describe lenet
echo "exit $?"
strata describe none.net
echo "exit $?"
strata describe .
