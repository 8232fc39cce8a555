# darknet's two files: either opens both; what is missing or too much is counted.
golden=$SOURCE/tests/golden/darknet
cp "$golden"/dense.cfg "$golden"/dense.weights .
strata weights dense.weights
echo "exit $?"
strata describe --threads 1 dense.cfg
echo "exit $?"
mv dense.cfg other.cfg
strata weights dense.weights
echo "exit $?"
strata weights other.cfg
echo "exit $?"
mv other.cfg dense.cfg
head -c 4000 dense.weights > cut && mv cut dense.weights
strata weights dense.weights
echo "exit $?"
cp "$golden"/dense.weights . && printf 'more' >> dense.weights
strata weights dense.weights
echo "exit $?"
printf '[net]\nheight=32\nwidth=32\nchannels=3\n[convolutional]\nactivation=mish\n[yolo]\n' > yolo.cfg
strata weights yolo.cfg
echo "exit $?"
