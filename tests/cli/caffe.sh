# Caffe models as they are: what is inside, and what is refused.
golden=$SOURCE/tests/golden/caffe
strata --version | grep -q protobuf || { echo 'built without protobuf-c'; exit 77; }
cp "$golden"/googlenet.caffemodel "$golden"/alexnet.caffemodel .
strata weights googlenet.caffemodel
echo "exit $?"
strata describe --threads 1 googlenet.caffemodel
echo "exit $?"
head -c 9000 googlenet.caffemodel > cut.caffemodel
strata weights cut.caffemodel
echo "exit $?"
printf '\242\006\020\012\002up\022\012Upsampling' > odd.caffemodel
strata weights odd.caffemodel
echo "exit $?"
