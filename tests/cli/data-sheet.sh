# Contact sheets: what a data set holds, what a net will see; never into the data's folder, never half a file.
strata --version | grep -q libspng || { echo 'this build writes no PNG'; exit 77; }
sh "$SOURCE/tests/make-cifar" pictures 100 20 folders
strata data pictures --sheet sheet.png | tail -n 2
strata data pictures --sheet again.png --quiet
cmp sheet.png again.png && echo 'the same sheet'
head -c 4 sheet.png | tail -c 3
echo
strata data pictures --sheet seen.png --augment crop=4,mirror
strata data pictures --sheet seen2.png --augment crop=4,mirror --seed 2 --json
cmp -s seen.png seen2.png || echo 'another seed, another sheet'
strata data pictures --augment mirror
echo "exit $?"
strata data pictures --augment mirow --sheet none.png
echo "exit $?"
strata data pictures --sheet pictures/train/cat/sheet.png
echo "exit $?"
strata data pictures --sheet none/sheet.png --quiet
echo "exit $?"
ls ./*.png pictures/train/cat | grep -c png
