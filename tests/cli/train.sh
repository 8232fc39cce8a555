# A whole run: facts, epochs, choice, test, files; the weights are the same on every machine.
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 2 --batch 16 --threads 1 > out.txt
echo "exit $?"
sed 's/ [a-z0-9]* f32, / ISA f32, /; s/ [0-9.,]* [KMG]B/ N/g; s/of  *N/of N/; s/ N predicted.*/ N predicted/' out.txt |
    sed 's/^\( *[0-9][0-9]*   [0-9.]*  *[0-9.]*%  *[0-9.]*%\).*/\1 .../'
ls -A runs/lenet5-1
printf 'control characters: '
tr -d '\n -~' < out.txt | wc -c | tr -d ' '
grep -v '^version' runs/lenet5-1/run.txt | sed "s|= .*/small|= small|"
