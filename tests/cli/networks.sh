# docs/networks.md and its drawings show what the program shows.
STRATA=$(command -v strata) sh "$SOURCE/scripts/draw-networks" --check && echo "as they should be"
