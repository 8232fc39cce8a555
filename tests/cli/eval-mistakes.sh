# The worst mistakes as a contact sheet; none, and nothing is written.
strata --version | grep -q libspng || { echo 'this build has no PNG'; exit 77; }
sh "$SOURCE/tests/make-cifar" photos 60 40 sizes
cat > small.net <<'NET'
network small { input 32x32x3, conv 5x5 6 stride=2, relu, avgpool global, fc 10, output logits loss=cross_entropy }
NET
strata train small.net --data photos --val none --epochs 1 --quiet --out run
strata eval run --data photos --mistakes worst.png | tail -n 1
head -c 8 worst.png | od -An -tx1
strata eval run --data photos --mistakes none/worst.png --quiet
echo "exit $?"
# One class: a net of two that only ever says the first is never wrong.
mkdir -p one/ant two/ant two/bee
for i in 1 2 3 4 5 6 7 8 9; do
    { printf 'P5\n8 8\n255\n'; head -c 64 /dev/zero | tr '\0' '\020'; } > one/ant/$i.pgm
    { printf 'P5\n8 8\n255\n'; head -c 64 /dev/zero | tr '\0' '\350'; } > two/bee/$i.pgm
    cp one/ant/$i.pgm two/ant
done
echo 'network tiny { input 8x8x1, fc 2, output logits loss=cross_entropy }' > tiny.net
strata train tiny.net --data two --val none --epochs 30 --batch 4 --quiet --out sure
strata eval sure --data two --mistakes no.png | tail -n 1
ls no.png
