cp -r "$SMALL" small
strata train lenet5 --data small --epochs 3 --batch 16 --quiet --out run > /dev/null
strata predict run small/t10k-images-idx3-ubyte:3
strata predict run small/t10k-images-idx3-ubyte:3 small/t10k-images-idx3-ubyte:4 --top 1 --json
strata predict run/best.safetensors small/t10k-images-idx3-ubyte:3 --quiet
{ printf 'P5\n28 28\n255\n'; tail -c +17 small/t10k-images-idx3-ubyte | head -c 784; } > zero.pgm
strata predict run zero.pgm small/t10k-images-idx3-ubyte:0 --json --top 1 | sed 's/{"file"/\n&/g' | tail -n 2 |
    sed 's/.*"top"//; s/[], ]*$//' | sort -u | grep -c .
# One bad picture does not end the rest.
head -c 100 zero.pgm > cut.pgm
strata predict run none.pgm cut.pgm small/t10k-images-idx3-ubyte:100 zero.pgm --quiet
echo "exit $?"
