# Every command explains itself, in 80 columns, with examples first.
for command in describe train eval predict compare data bench fmt help; do
    strata $command --help > help.txt || echo "$command: exit $?"
    awk -v c=$command 'length > 80 { print c ": wider than 80: " $0 }' help.txt
    grep -qx Examples help.txt || echo "$command: no examples"
    strata help $command | cmp - help.txt
done
strata train --help
