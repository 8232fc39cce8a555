# Pictures that cannot be read: named, counted and left out; --strict refuses; more than a tenth refuses by itself, and
# only the doctor still looks at the rest.
picture() { # file, grey level
    { printf 'P5\n8 8\n255\n'; head -c 64 /dev/zero | tr '\0' "\\$2"; } > "$1"
}
try() { "$@"; echo "exit $?"; }
mkdir -p photos/train/ant photos/train/bee photos/test/ant photos/test/bee
for i in 0 1 2 3 4 5 6 7 8 9; do
    picture photos/train/ant/$i.pgm 020
    picture photos/train/bee/$i.pgm 350
    picture photos/test/ant/$i.pgm 030
    picture photos/test/bee/$i.pgm 340
done
cat > tiny.net <<'NET'
network tiny { input 8x8x1, c: fc 4, relu, d: fc 2, output logits loss=cross_entropy }
NET
strata train tiny.net --data photos --val none --epochs 5 --batch 4 --quiet --out sound --strict
echo 'I am a letter' > photos/train/bee/letter.jpg
head -c 40 photos/train/ant/3.pgm > photos/test/ant/cut.pgm
ln -s loop.png photos/train/ant/loop.png
try strata train tiny.net --data photos --val none --epochs 5 --batch 4 --quiet --out run
try strata train tiny.net --data photos --epochs 1 --quiet --out strict --strict
try strata finetune run --data photos --train head --val none --epochs 1 --quiet --out tuned
try strata finetune run --data photos --train head --epochs 1 --quiet --out strict --strict
try strata eval run --quiet
try strata eval run --quiet --strict
ls -d strict
for i in 1 2 3; do echo 'More letters' > photos/train/bee/more$i.png; done
try strata train tiny.net --data photos --epochs 1 --quiet --out strict
try strata eval run --quiet
try strata data photos
try strata data photos --json --strict > doctor.json
grep -o '"broken": .*' doctor.json
ls
