cat > mine.net <<'NET'
# Mine.
network mine {
  input 8x8x1
     c1: conv 3x3   4 , relu   # the first
  fc 10
  output logits loss=cross_entropy
}
NET
strata fmt mine.net
strata fmt --check mine.net
echo "exit $?"
strata fmt -i mine.net
strata fmt --check mine.net
echo "exit $?"
strata fmt mine.net | cmp - mine.net
strata fmt - < mine.net | cmp - mine.net
strata fmt none.net
echo "exit $?"
for net in "$SOURCE"/zoo/*.net; do
    strata fmt "$net" > again.net && strata fmt again.net | cmp - again.net
done
