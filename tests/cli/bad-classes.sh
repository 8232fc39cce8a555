# One class, an empty one, one that is only in test; names that are hard to say; labels that are none; a folder that
# leads back to itself.
picture() { # file, grey level
    { printf 'P5\n8 8\n255\n'; head -c 64 /dev/zero | tr '\0' "\\$2"; } > "$1"
}
try() { "$@"; echo "exit $?"; }
cat > tiny.net <<'NET'
let classes = 2
network tiny { input 8x8x1, fc classes, output logits loss=cross_entropy }
NET
train='strata train tiny.net --val none --epochs 1 --quiet --force --out run'
mkdir -p one/ant
for i in 1 2 3 4; do picture one/ant/$i.pgm 020; done
strata data one | sed -n '1,5p'
try $train --data one
try $train --data one --set classes=1
mkdir -p empty/ant empty/bee empty/cow
for i in 1 2 3 4; do picture empty/ant/$i.pgm 020 && picture empty/bee/$i.pgm 350; done
try $train --data empty --set classes=3
mkdir -p late/train late/test
cp -r empty/ant empty/bee late/train
cp -r empty/ant late/test
cp -r empty/bee late/test/dog
try $train --data late --set classes=3
# Names with spaces, quotes, newlines and bytes that are no UTF-8, of classes and of files.
mkdir -p names/train/"red 'ant\"" names/train/"$(printf 'new\nline')" names/train/"$(printf '\351t\351')"
for i in 1 2 3 4; do
    picture names/train/"red 'ant\""/"$(printf "it's\n\"$i\" \377.pgm")" 020
    picture names/train/"$(printf 'new\nline')"/"$i \\.pgm" 150
    picture names/train/"$(printf '\351t\351')"/"-$i.pgm" 350
done
try $train --data names --set classes=3
strata data names | sed -n '1,7p'
strata eval run --part train --quiet --batch 3
strata eval run --part train --json --top 1 | grep -o '"file": "[^,]*, "label": "[^,]*' | head -n 6
# A link that leads back to its folder is no class.
cp -r empty back
rm -r back/cow
ln -s . back/again
try $train --data back
# Lists: no column, a label out of range, a file that is not there.
mkdir list
cp empty/ant/1.pgm list/a.pgm
cp empty/bee/1.pgm list/b.pgm
list() { printf "$1" > list/labels.csv && try strata data list --quiet; }
list 'file,kind\na.pgm,0\nb.pgm,1\n'
list 'file,class\na.pgm,0\nb.pgm,-1\n'
list 'file,class\na.pgm,0\nb.pgm,900\n'
list 'file,class\na.pgm,0\nb.pgm,\n'
list 'file,class\na.pgm,0\nb.pgm\n'
list 'file,class\na.pgm,0\nc.pgm,1\n'
list 'file,class\na.pgm,0\n../empty/bee/1.pgm,1\n'
