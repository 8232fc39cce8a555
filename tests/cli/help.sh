# The overview; without a command it goes to stderr and is a misuse.
strata --help
strata 2> without.txt
echo "exit $?"
strata --help | cmp - without.txt
