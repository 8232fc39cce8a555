# CIFAR-10's binary batches and folders of pictures: what is there, what is missing, what is left out.
sh "$SOURCE/tests/make-cifar" batches 100 20
sh "$SOURCE/tests/make-cifar" pictures 100 20 folders
strata data batches
strata data batches --json > a && strata data pictures --json > b
same() { sed 's/.*"shape"/"shape"/; s/"bytes": [0-9]*, //' "$1"; } # but for names and the sizes of files
same a > c && same b | cmp c -
rm batches/data_batch_3.bin
strata data batches
rm -r pictures/test/cat && mkdir pictures/test/yak
echo 'no picture' > "pictures/train/dog/a b.jpg"
strata data pictures 2>&1
strata data pictures --json | grep -o '"broken".*'
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do head -c 100 pictures/train/dog/0000.ppm > pictures/train/dog/$i.ppm; done
strata data pictures
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do rm pictures/train/dog/$i.ppm; done
printf 'P5 2 2 255\nabcd' > pictures/test/yak/small.pgm
strata data pictures
