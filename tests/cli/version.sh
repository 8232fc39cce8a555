strata --version | sed 's/run here: .*/run here: .../; s/zlib [0-9.a-z-]*/zlib N/; s/, libhdf5 ([^)]*)//; s/, [a-z-]*-c [0-9.]*//; s/, lib[a-z-]* [0-9.]*//g'
