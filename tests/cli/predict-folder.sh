# Folders, several pictures, one that cannot be read; names aligned; mirrored and in windows.
cp -r "$SMALL" small
strata train lenet5 --data small --epochs 3 --batch 16 --quiet --out run > /dev/null
mkdir -p 'photos/a b' photos/.hidden
for i in 3 4 5; do
    { printf 'P5\n28 28\n255\n'; tail -c +$((17 + 784 * i)) small/t10k-images-idx3-ubyte | head -c 784; } > "photos/$i.pgm"
done
mv photos/5.pgm 'photos/a b/five.pgm'
cp photos/4.pgm photos/.hidden
echo words > photos/notes.txt
ln -s .. photos/loop
strata predict run photos --top 1
echo "exit $?"
echo words > photos/broken.jpg
strata predict run photos --quiet
echo "exit $?"
strata predict run photos/3.pgm 'photos/a b' --json --flip --crops 5 --top 2 | sed 's/"probability": [0-9.e-]*/P/g'
strata predict run photos/3.pgm photos/3.pgm --top 1 --json > twice.json
strata predict run photos/3.pgm --top 1 --json > once.json
grep -o '"top": .*' twice.json | grep -o '"probability": [0-9.]*' | sort -u | wc -l
grep -o '"probability": [0-9.]*' once.json | grep -cF "$(grep -o '"probability": [0-9.]*' twice.json | head -n 1)"
mkdir empty
strata predict run empty
echo "exit $?"
# Names are never cut where programs read them, and bytes that a terminal would obey do not reach it.
long='a name of a folder that is longer than sixty bytes and ends in the number'
mkdir "$long"
cp photos/3.pgm "$long/1.pgm"
cp photos/3.pgm "$long/2.pgm"
cp photos/3.pgm "$(printf 'esc\233[2Jnel\302\233[1mrlo\342\200\256.pgm')"
strata predict run "$long" esc* --quiet
strata predict run esc* --top 1 --quiet | LC_ALL=C tr -d '\001-\177\n' | wc -c | tr -d ' '
