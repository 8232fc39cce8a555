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
