cp -r "$SMALL" small
strata data small
strata data small --val 0.1 | head -2
strata data small --quiet
