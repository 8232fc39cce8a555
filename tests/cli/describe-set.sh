# A knob of the file turned; one that is not there; a value that does not fit.
strata describe lenet5 --set classes=6 | grep -E '^f7|^ +[0-9]'
strata describe lenet5 --set clases=6
echo "exit $?"
