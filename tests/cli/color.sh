# Colours only where they are asked for or on a terminal, and never against NO_COLOR there.
show() { tr '\033' '^' | head -n 1; }
strata describe lenet5 --color always | sed -n 4p | show
strata describe lenet5 | sed -n 4p | show
strata describe none.net --color always 2>&1 | show
NO_COLOR=1 strata describe none.net 2>&1 | show
