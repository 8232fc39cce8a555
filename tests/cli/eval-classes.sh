# Classes go by name: in another order, missing, unknown, without names.
picture() { # file, grey level
    { printf 'P5\n8 8\n255\n'; head -c 64 /dev/zero | tr '\0' "\\$2"; } > "$1"
}
mkdir -p photos/train/ant photos/train/bee photos/train/cow other/test/bee other/test/cow other/test/dog some/test/cow
for i in 1 2 3 4 5 6 7 8; do
    picture photos/train/ant/$i.pgm 020
    picture photos/train/bee/$i.pgm 150
    picture photos/train/cow/$i.pgm 350
    picture other/test/bee/$i.pgm 150
    picture other/test/cow/$i.pgm 350
done
cp other/test/cow/1.pgm other/test/dog/9.pgm
cp other/test/cow/[12].pgm some/test/cow
cat > tiny.net <<'NET'
network tiny { input 8x8x1, fc 3, output logits loss=cross_entropy }
NET
strata train tiny.net --data photos --val none --epochs 30 --batch 8 --quiet --out run
strata eval run --data other
echo "exit $?"
strata eval run --data other --skip-unknown | sed 's/ [0-9.]* m*s$/ T/'
strata eval run --data some --quiet
strata eval run --data some --json --top 1 | grep -o '"predictions": .*' | sed 's/"probability": [0-9.e-]*/P/g'
printf 'cow\nbee\nant\n' > backwards.txt
strata eval run --data some --classes backwards.txt --quiet
echo "exit $?"
# A data set of ten numbers, a model of three names.
cp -r "$SMALL" small
strata eval run --data small
echo "exit $?"
