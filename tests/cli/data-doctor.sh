# Planted: copies in one part, in two and under two labels, a blank picture, an odd one, one that cannot be read.
sh "$SOURCE/tests/make-cifar" pictures 100 20 folders
cd pictures || exit 1
cp train/cat/0000.ppm train/cat/copy.ppm
cp train/dog/0001.ppm test/dog/copy.ppm
cp train/ship/0000.ppm "train/truck/a ship.ppm"
{ printf 'P5 64 64 255\n'; head -c 4096 /dev/zero; } > train/bird/black.pgm
{ printf 'P5 400 10 255\n'; head -c 4000 "$SMALL/train-images-idx3-ubyte"; } > test/bird/wide.pgm
head -c 100 train/frog/0000.ppm > train/frog/cut.ppm
find . -type f | sort > ../before
cd ..
strata data pictures
echo "exit $?"
strata data pictures --json | grep -o '"duplicates".*'
strata data pictures --strict > strict
echo "exit $?"
strata data pictures --strict --json > strict.json
echo "exit $?"
(cd pictures && find . -type f | sort) | cmp before - && echo 'nothing was written to it'
