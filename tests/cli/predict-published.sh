# Weights of other people: the net says how pictures are prepared, a file how its classes are called.
weights=$STRATA_TEST_DATA/weights/squeezenet1_1.f16.safetensors
names=$STRATA_TEST_DATA/weights/synset_words.txt
pictures=$STRATA_TEST_DATA/imagenet-50
if [ ! -r "$weights" ] || [ ! -d "$pictures" ]; then
    echo "no imagenet-50 and SqueezeNet in \$STRATA_TEST_DATA"
    exit 77
fi
strata --version | grep -q libjpeg || { echo 'built without libjpeg'; exit 77; }
cp "$pictures/n02391049_zebra.JPEG" zebra.jpg
strata predict squeezenet1_1 --weights "$weights" zebra.jpg --top 1
strata predict squeezenet1_1 --weights "$weights" --classes "$names" zebra.jpg --top 1
strata predict squeezenet1_1 --weights "$weights" --classes "$names" "$pictures" --top 1 --json > all.json
echo "$(grep -o '"file"' all.json | wc -l) pictures"
strata predict squeezenet1_1 zebra.jpg
echo "exit $?"
head -n 9 "$names" > nine.txt
strata predict squeezenet1_1 --weights "$weights" --classes nine.txt zebra.jpg
echo "exit $?"
{ head -n 5 "$names"; echo; } | cat - "$names" > hole.txt
strata predict squeezenet1_1 --weights "$weights" --classes hole.txt zebra.jpg
echo "exit $?"
strata predict squeezenet1_1 --weights "$weights" --classes "$weights" zebra.jpg 2>&1 | sed "s|$STRATA_TEST_DATA|DATA|"
