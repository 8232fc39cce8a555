# A difference that is likely to come from elsewhere is said to.
put() { # FILE: three tensors of two numbers, then two gradients of one
    python3 - "$@" <<'END'
import json, struct, sys
names = ["logits", "aux1.logits", "aux2.logits", "c1.weight", "c1.bias"]
numbers = [float(x) for x in sys.argv[2:]]
head, at, data = {}, 0, b""
for name, number in zip(names, numbers):
    head[name] = {"dtype": "F32", "shape": [1], "data_offsets": [at, at + 4]}
    at += 4
    data += struct.pack("<f", number)
text = json.dumps(head).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data)
END
}
command -v python3 > /dev/null || { echo "python3 writes the files"; exit 77; }
put a.st 1 2 3 4 5
put swapped.st 1 3 2 4 5
put kink.st 1 2 3 4.03 5
put wrong.st 2 2 3 4.03 5
for other in swapped kink wrong a; do
    strata diff a.st $other.st
    echo "exit $?"
done
strata diff a.st kink.st --json | grep -o '"hint": "[a-z ]*'
