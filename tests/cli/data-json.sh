cp -r "$SMALL" small
strata data small --json
