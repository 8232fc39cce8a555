# Each one clear line, exit 1.
try() { strata data "$1"; echo "exit $?"; }
try none
mkdir empty
try empty
cp -r "$SMALL" short
head -c 100000 "$SMALL/train-images-idx3-ubyte" > short/train-images-idx3-ubyte
try short
cp -r "$SMALL" magic
printf 'GIF89a' | cat - "$SMALL/train-images-idx3-ubyte" > magic/train-images-idx3-ubyte
try magic
cp -r "$SMALL" number
head -c 108 "$SMALL/t10k-labels-idx1-ubyte" > number/train-labels-idx1-ubyte
try number
